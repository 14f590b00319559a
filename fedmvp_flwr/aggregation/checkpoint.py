"""A checkpoint of every round: arrays in safetensors, what belongs to them in its header."""

from dataclasses import dataclass
from logging import WARNING
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord
from flwr.common.logger import log
from torch import Tensor

from fedmvp_flwr.aggregation.wire import unpack
from fedmvp_flwr.base.errors import CheckpointError
from fedmvp_flwr.base.run_folder import ROUND_FILE, ROUND_FILES
from fedmvp_flwr.base.tensor_file import load_tensors, save_tensors


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
        return sorted(self.folder.glob(ROUND_FILES))
