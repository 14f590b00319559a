"""Checkpoints of a training: weights, their average, the optimiser and how far it has come."""

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

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
    """Load the averaged (or else the plain) weights of a checkpoint, for a look before the end."""
    tensors = load_file(checkpoint)
    prefix = "average." if any(k.startswith("average.") for k in tensors) else "model."
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    weights |= {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    model.load_state_dict(weights)
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
    values = {"step": trained.steps, "seconds": 60 * trained.minutes, "loss": trained.loss}
    progress = json.dumps(values)
    partial = path.with_suffix(".partial")
    copies = {k: v.detach().clone().contiguous() for k, v in tensors.items()}
    save_file(copies, partial, metadata={"progress": progress})
    partial.replace(path)


def resume(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor]
) -> Trained:
    """Read a checkpoint into model, optimiser and average, if there is one; say how far it came."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return Trained(0, 0.0, math.nan)
    tensors = load_file(path)
    model.load_state_dict(
        {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    )
    for name, value in average.items():
        value.copy_(tensors[f"average.{name}"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = value
    packed = optimizer.state_dict()
    packed["state"] = state
    optimizer.load_state_dict(packed)
    trained = stored_progress(path)
    _log.info("%s resumes at step %d", path.stem, trained.steps)
    return trained


def stored_progress(checkpoint: Path) -> Trained:
    """What a checkpoint's training has come to so far."""
    with safe_open(checkpoint, framework="pt") as file:
        values = json.loads(file.metadata()["progress"])
    return Trained(values["step"], values["seconds"] / 60, values.get("loss", math.nan))
