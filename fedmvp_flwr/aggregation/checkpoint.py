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

_KEPT = 3  # newest checkpoints


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
    """Writes one atomic file per round into a folder, created when needed, and keeps the newest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, server_round: int, arrays: ArrayRecord, metadata: dict[str, Any]) -> Path:
        """Save the global arrays of a finished round; a crash leaves the earlier files intact.

        Checkpoints of later rounds come from an earlier run in the same folder and are removed.
        """
        path = self.folder / ROUND_FILE.format(server_round)
        save_tensors(path, unpack(arrays), {**metadata, "round": server_round})
        paths = self._paths()
        newest = paths.index(path) + 1
        for old in paths[: max(newest - _KEPT, 0)] + paths[newest:]:
            old.unlink(missing_ok=True)
        return path

    def latest(self) -> Checkpoint:
        """Return the newest checkpoint that can be read; damaged ones are named in the log.

        Raises:
            CheckpointError: there is none, or all are damaged.
        """
        problem = CheckpointError(f"No checkpoint in {self.folder}: no round was finished there.")
        for path in reversed(self._paths()):
            try:
                tensors, metadata = load_tensors(path)
                return Checkpoint(int(metadata["round"]), tensors, metadata)
            except CheckpointError as error:
                log(WARNING, "%s It is skipped.", error)
                problem = error
        raise problem

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(ROUND_FILES))
