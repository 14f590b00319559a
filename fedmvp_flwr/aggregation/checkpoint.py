"""A checkpoint of every round: arrays in safetensors, what belongs to them in its header."""

import errno
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from logging import WARNING
from pathlib import Path
from typing import Any

import torch
from flwr.app import ArrayRecord
from flwr.common.logger import log
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fedmvp_flwr.aggregation.wire import unpack
from fedmvp_flwr.data.records import atomic_file
from fedmvp_flwr.errors import CheckpointError

ROUND_FILE = "round-{:05d}.safetensors"
_METADATA = "fedmvp"
_FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """The state after a round.

    Attributes:
        server_round: the round that was finished, 1-based.
        tensors: the global model.
        metadata: JSON values that belong to it (configuration hash, metrics, ...).
    """

    server_round: int
    tensors: dict[str, Tensor]
    metadata: dict[str, Any]


class CheckpointStore:
    """Writes one atomic file per round into a folder and keeps the newest ones.

    Args:
        folder: created when needed.
        keep: how many of the newest checkpoints stay, at least 1.
    """

    def __init__(self, folder: Path, keep: int = 3) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}.")
        self.folder = folder
        self.keep = keep

    def save(self, server_round: int, arrays: ArrayRecord, metadata: dict[str, Any]) -> Path:
        """Save the global arrays of a finished round; a crash leaves the earlier files intact.

        Checkpoints of later rounds come from an earlier run in the same folder and are removed.
        """
        path = self.folder / ROUND_FILE.format(server_round)
        save_tensors(path, unpack(arrays), {**metadata, "round": server_round})
        paths = self._paths()
        newest = paths.index(path) + 1
        for old in paths[: max(newest - self.keep, 0)] + paths[newest:]:
            old.unlink(missing_ok=True)
        return path

    def latest(self) -> Checkpoint:
        """Return the newest checkpoint that can be read; damaged ones are named in the log.

        Raises:
            CheckpointError: there is none, or all are damaged.
        """
        paths = self._paths()
        if not paths:
            raise CheckpointError(f"No checkpoint in {self.folder}: no round was finished there.")
        for path in reversed(paths):
            try:
                tensors, metadata = load_tensors(path)
            except CheckpointError as error:
                if path == paths[0]:
                    raise
                log(WARNING, "%s An older checkpoint is tried.", error)
            else:
                return Checkpoint(int(metadata["round"]), tensors, metadata)
        raise AssertionError("unreachable: the oldest one returns or raises")

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("round-*.safetensors"))


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and JSON metadata to one safetensors file, atomically, without a copy of them.

    Raises:
        OSError: it cannot be written, for example on a full disk.
    """
    header = {_METADATA: json.dumps({**metadata, "format": _FORMAT}, sort_keys=True)}
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with atomic_file(path) as temporary:
        try:
            save_file(contiguous, temporary, metadata=header)
        except SafetensorError as error:  # the library's own kind of an error of the system
            raise OSError(errno.EIO, str(error)) from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of `save_tensors`.

    Raises:
        CheckpointError: no such file, a damaged one, or one of another origin.
    """
    if not path.is_file():
        raise CheckpointError(f"No file {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors: dict[str, torch.Tensor] = {
                name: file.get_tensor(name) for name in list(file.keys())
            }
        metadata = json.loads(header[_METADATA])
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or not from this project: {error}") from error
    if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{path} has another format than {_FORMAT}: not of this version.")
    return tensors, metadata


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)  # no copy
    return digest.hexdigest()
