"""Who a node is and where its things lie: the one place that reads Flower's node config."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.base.nearest import did_you_mean
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import LOG_FILE, cache_folder
from fedmvp_flwr.config.run import RunSettings

_logger = logging.getLogger(__name__)

_KEYS = ("partition-id", "num-partitions", "data-path", "name", "cache-dir")
_HINT = (
    'Start a node that has its own data with --node-config \'data-path="/folder" '
    "name=\"hospital-a\"', or one that takes a part of the run's data set with --node-config "
    "'partition-id=0 num-partitions=2' (each node another id)."
)


@dataclass(frozen=True)
class Node:
    """A client's identity: it owns a folder, or a part of the run's data set.

    Attributes:
        partition_id: which part is its own, in [0, num_partitions); -1 with a folder of its own
            and no number.
        num_partitions: number of parts; 0 with a folder of its own.
        cache_dir: absolute folder of its feature store.
        data_path: absolute folder of its own data, or None.
        name: what it is called, or empty.
        node_id: Flower's id, where nothing else tells nodes apart.
    """

    partition_id: int
    num_partitions: int
    cache_dir: Path
    data_path: Path | None = None
    name: str = ""
    node_id: int = 0

    @property
    def key(self) -> int | str:
        """What its draws of chance are named after, the same in the next process and run."""
        if self.partition_id >= 0:
            return self.partition_id
        return self.name or self.node_id

    @property
    def lasting(self) -> bool:
        """Whether its key is its own: Flower's id is another one when it is registered anew."""
        return self.partition_id >= 0 or bool(self.name)

    def own(self, config: RunConfig) -> RunConfig:
        """The run's settings with what is the node's own: its data, and where it may write."""
        if self.data_path is None:
            return config
        changes = {"dataset": f"folder:{self.data_path}", "cache_dir": str(self.cache_dir)}
        return config.changed(**changes)


def read_node(node_config: Mapping[str, Any], run: RunSettings, node_id: int = 0) -> Node:
    """Read a node's identity from Flower's `context.node_config`.

    A node with `data-path` keeps its features in its own `cache-dir` (default: ~/.fedmvp/cache):
    where it writes to is not for the run's settings to say.

    Args:
        node_config: what `--node-config` gave.
        run: names the cache folder of nodes that take a part of the run's data set.
        node_id: Flower's id of the node.

    Raises:
        ConfigError: an unknown key, a folder that is not there, a partition that is not told or
            out of range; all of it at once.
    """
    problems = [
        f"unknown key '{key}'{did_you_mean(key, _KEYS)}" for key in node_config if key not in _KEYS
    ]
    paths = _paths(node_config, problems)
    own_data = bool(node_config.get("data-path"))
    partition_id, num_partitions = _numbers(node_config, own_data, problems)
    if problems:
        raise ConfigError(f"The node config {dict(node_config)}: {'; '.join(problems)}. {_HINT}")
    chosen = run.model_copy(update={"cache_dir": ""}) if own_data else run
    cache = paths["cache-dir"].absolute() if "cache-dir" in paths else cache_folder(chosen)
    name = str(node_config.get("name", ""))
    node = Node(partition_id, num_partitions, cache, paths.get("data-path"), name, node_id)
    if not node.lasting and node_id:
        _warn_of_no_name(node)
    return node


def require_lasting(node: Node) -> None:
    """Refuse a node that a run would know by an id which Flower gives it later.

    Raises:
        ConfigError: it has a folder of its own, and neither a name nor a number.
    """
    if not node.lasting:
        raise ConfigError(
            f'data-path="{node.data_path}" without name: no run would find what is prepared here, '
            "since a node without one is known by the id that Flower gives it. Add a name, for "
            'example name="hospital-a", here and in the --node-config that the node is started '
            "with (or the same partition-id in both)."
        )


def _warn_of_no_name(node: Node) -> None:
    if (node.cache_dir / LOG_FILE).exists():  # each message may be a process: it was said then
        return
    _logger.warning(
        "This node has no name: what it prepares and draws belongs to Flower's id %d, and is lost "
        'to it once it is registered anew. Add name="..." to its --node-config.',
        node.node_id,
    )


def _paths(node_config: Mapping[str, Any], problems: list[str]) -> dict[str, Path]:
    paths = {}
    for key in ("data-path", "cache-dir"):
        if node_config.get(key):
            try:
                paths[key] = expanded(str(node_config[key]), ConfigError, key)
            except ConfigError as error:
                problems.append(str(error).removesuffix("."))
    data_path = paths.get("data-path")
    if data_path and not data_path.is_absolute():
        problems.append(f"data-path='{data_path}' is not absolute")
    elif data_path and not data_path.is_dir():
        problems.append(f"data-path='{data_path}' is no folder on this machine")
    return paths


def _numbers(
    node_config: Mapping[str, Any], own_data: bool, problems: list[str]
) -> tuple[int, int]:
    """Number of the part, -1 for none, and number of parts, 0 with a folder of its own."""
    keys = ("partition-id",) if own_data else ("partition-id", "num-partitions")
    missing = [key for key in keys if key not in node_config]
    if missing:
        if not own_data:
            what = "neither data-path nor" if len(missing) == len(keys) else "no"
            problems.append(f"it names {what} {' and '.join(missing)}")
        return -1, 0
    try:
        number, parts = ([int(node_config[key]) for key in keys] + [0])[:2]
    except (TypeError, ValueError) as error:
        problems.append(f"partition-id and num-partitions must be whole numbers ({error})")
        return -1, 0
    if number < 0 or (not own_data and number >= parts):
        problems.append(f"partition-id={number} is not in [0, num-partitions={parts})")
    return number, parts
