"""Who a node is and where its things lie: the one place that reads Flower's node config."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.errors import ConfigError

_HOME = Path("~/.fedmvp")


@dataclass(frozen=True)
class Node:
    """A client's identity.

    Attributes:
        partition_id: which part of the data set is its own, in [0, num_partitions).
        num_partitions: number of parts.
        cache_dir: absolute folder of its feature store.
    """

    partition_id: int
    num_partitions: int
    cache_dir: Path


def read_node(node_config: Mapping[str, Any], config: RunConfig) -> Node:
    """Read a node's identity from Flower's `context.node_config`.

    Raises:
        ConfigError: the partition is not told, or is out of range.
    """
    try:
        partition_id = int(node_config["partition-id"])
        num_partitions = int(node_config["num-partitions"])
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"The node config {dict(node_config)} names no partition ({error}). Start the node "
            "with --node-config 'partition-id=0 num-partitions=2' (each node another id)."
        ) from error
    if not 0 <= partition_id < num_partitions:
        raise ConfigError(
            f"partition-id={partition_id} is not in [0, num-partitions={num_partitions})."
        )
    override = str(node_config.get("cache-dir", ""))
    folder = Path(override).expanduser().absolute() if override else cache_folder(config)
    return Node(partition_id, num_partitions, folder)


def cache_folder(config: RunConfig) -> Path:
    """Absolute folder of the feature store."""
    return Path(config.cache_dir or _HOME / "cache").expanduser().absolute()


def output_folder(config: RunConfig, run_id: int) -> Path:
    """Absolute folder of a run's results: the one it goes on with, where none is given.

    Raises:
        ConfigError: the folder cannot be written.
    """
    chosen = config.out_dir or config.resume or _HOME / "runs" / str(run_id)
    folder = Path(chosen).expanduser().absolute()
    return require_writable(folder, "out-dir")


def require_writable(folder: Path, key: str) -> Path:
    """Make a folder and try to write into it.

    Raises:
        ConfigError: it cannot be written; names the run-config key that chose it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"{key}='{folder}' cannot be written ({error.strerror}). Choose another folder."
        ) from error
    return folder
