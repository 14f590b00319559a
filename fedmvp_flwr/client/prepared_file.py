"""A client's prepared features in one file, so that a message needs nothing but torch to start.

`prepare` writes the file; training and evaluation, each in a process of its own on a deployed
node, read it: no data set, no feature store, no foundation model.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from fedmvp_flwr.base.errors import CheckpointError, StoreError
from fedmvp_flwr.base.features import Batch, ModalityBatch
from fedmvp_flwr.base.files import record_hash
from fedmvp_flwr.base.samples import MODALITIES
from fedmvp_flwr.base.tensor_file import load_tensors, save_tensors, tensors_digest
from fedmvp_flwr.client.data import ClientData
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.config import FREE_KEYS, RunConfig
from fedmvp_flwr.config.node import Node
from fedmvp_flwr.protocol.summary import read_summary

_FOLDER = "prepared"
_KEPT = 3  # newest files of each client
_SERVERS = (*FREE_KEYS, "class-names-file", "probe-source")  # keys that mean nothing at a node
_NAME_LENGTH = 16  # characters of a hash


def save_client(config: RunConfig, node: Node, classes: Sequence[str], data: ClientData) -> Path:
    """Write what a client has prepared, atomically; older files of the same client go.

    Raises:
        StoreError: the file cannot be written, for example on a full disk.
    """
    path = client_file(config, node, classes)
    tensors = _set_tensors("train", data.train_set) | _set_tensors("held-out", data.held_out)
    metadata = {
        "digest": tensors_digest(tensors),
        "threshold": data.threshold,
        "summary": data.summary.to_json(),
    }
    try:
        save_tensors(path, tensors, metadata)
        for old in _files_of(path)[_KEPT:]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror}). Make room or allow writing there, or "
            "choose another folder with cache-dir."
        ) from error
    return path


def load_client(config: RunConfig, node: Node, classes: Sequence[str]) -> ClientData | None:
    """Read what the client has prepared for these settings; None if it is absent or damaged."""
    path = client_file(config, node, classes)
    try:
        tensors, metadata = load_tensors(path)
        if tensors_digest(tensors) != metadata["digest"]:
            return None
        return ClientData(
            config.completion,
            _set("train", tensors),
            _set("held-out", tensors),
            float(metadata["threshold"]),
            read_summary(metadata["summary"]),
        )
    except (CheckpointError, KeyError, TypeError, ValueError):
        return None


def client_file(config: RunConfig, node: Node, classes: Sequence[str]) -> Path:
    """Where a client's features for a run's settings and classes lie."""
    settings = {k: v for k, v in node.own(config).to_run_config().items() if k not in _SERVERS}
    own = {"key": node.key, "parts": node.num_partitions, "data": str(node.data_path)}
    name = record_hash(own)[:_NAME_LENGTH]
    what = record_hash({"settings": settings, "classes": list(classes)})[:_NAME_LENGTH]
    return node.cache_dir / _FOLDER / f"{name}-{what}.safetensors"


def _files_of(path: Path) -> list[Path]:
    """All files of the same client, newest first."""
    client = path.name.partition("-")[0]
    dated = []
    for other in path.parent.glob(f"{client}-*.safetensors"):
        with suppress(FileNotFoundError):  # another process tidies up, too
            dated.append((other.stat().st_mtime_ns, other))
    return [other for _, other in sorted(dated, reverse=True)]


def _set_tensors(prefix: str, prepared: PreparedSet) -> dict[str, Tensor]:
    tensors = prepared.real.tensors(f"{prefix}.real.")
    for name in MODALITIES:
        tensors |= prepared.completed[name].tensors(f"{prefix}.completed.{name}.")
        tensors[f"{prefix}.similarity.{name}"] = prepared.similarity[name]
    return tensors | {f"{prefix}.pair_similarity": prepared.pair_similarity}


def _set(prefix: str, tensors: dict[str, Tensor]) -> PreparedSet:
    real = Batch.of_tensors(tensors, f"{prefix}.real.")
    nothing: dict[str, Any] = {"made": {}, "reused": {}, "seconds": {}}
    return PreparedSet(
        keys=tuple(map(str, range(len(real)))),
        real=real,
        completed={
            name: ModalityBatch.of_tensors(tensors, f"{prefix}.completed.{name}.")
            for name in MODALITIES
        },
        similarity={name: tensors[f"{prefix}.similarity.{name}"] for name in MODALITIES},
        pair_similarity=tensors[f"{prefix}.pair_similarity"],
        **nothing,
    )
