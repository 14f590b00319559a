"""Checkpoints of a training: weights, their average, the optimiser and how far it has come."""

import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from fedmvp_flwr.base.tensor_file import load_tensors, save_tensors

Model = TypeVar("Model", bound=nn.Module)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """What a training came to, interruptions included.

    Attributes:
        steps: that were taken.
        minutes: that they took.
        loss: mean over the last steps; NaN if that is not known.
    """

    steps: int
    minutes: float
    loss: float


def use_average(model: Model, checkpoint: Path) -> Model:
    """Load the averaged weights of a checkpoint."""
    tensors, _ = load_tensors(checkpoint)
    model.load_state_dict(_part(tensors, "model.") | _part(tensors, "average."))
    return model.eval()


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    trained: Trained,
) -> None:
    """Write a checkpoint, atomically."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    copies = {k: v.detach().clone() for k, v in tensors.items()}  # some share their memory
    save_tensors(path, copies, {"progress": asdict(trained)})


def resume(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor]
) -> Trained:
    """Read a checkpoint into model, optimiser and average, if there is one; say how far it came."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return Trained(0, 0.0, math.nan)
    tensors, metadata = load_tensors(path)
    model.load_state_dict(_part(tensors, "model."))
    for name, value in average.items():
        value.copy_(tensors[f"average.{name}"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "optimizer.").items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = value
    packed = optimizer.state_dict()
    packed["state"] = state
    optimizer.load_state_dict(packed)
    trained = Trained(**metadata["progress"])
    _log.info("%s resumes at step %d", path.stem, trained.steps)
    return trained


def stored_progress(checkpoint: Path) -> Trained:
    """What a checkpoint's training has come to so far."""
    return Trained(**load_tensors(checkpoint)[1]["progress"])


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of their names."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
