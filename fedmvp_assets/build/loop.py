"""One resumable training loop for all embedded models."""

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fedmvp_assets.build.bank import Bank
from fedmvp_assets.build.muon import Muon, split_parameters
from fedmvp_flwr.seeds import numpy_generator

_log = logging.getLogger(__name__)
_WARMUP = 0.03  # share of the run
_FINAL_RATE = 0.02  # of the peak
_CLIP = 1.0
_WEIGHT_DECAY = 0.01
_SAVE_EVERY = 90.0  # seconds
_LOG_EVERY = 50  # steps


@dataclass(frozen=True)
class Budget:
    """How long to train: until the steps or the minutes are used up, whichever comes first."""

    steps: int
    minutes: float


@dataclass(frozen=True)
class Job:
    """What every training needs.

    Attributes:
        bank: the drawn flowers to learn from.
        work: folder of the checkpoints.
        budget: when to stop.
        seed: of weights, batches and noise.
        device: where the model trains; random numbers are drawn on the CPU in any case.
    """

    bank: Bank
    work: Path
    budget: Budget
    seed: int
    device: str = "cpu"

    def batch(
        self, name: str, step: int, size: int
    ) -> tuple[np.random.Generator, NDArray[np.int64]]:
        """The generator of a step and the indices of its flowers, without repetition."""
        generator = numpy_generator(self.seed, name, step)
        index = generator.choice(len(self.bank), min(size, len(self.bank)), replace=False)
        return generator, index


def fit(
    model: nn.Module,
    loss_of: Callable[[int], Tensor],
    budget: Budget,
    *,
    learning_rate: float,
    checkpoint: Path,
    ema_decay: float = 0.0,
    matrix_rate: float = 0.0,
) -> float:
    """Train a model in place, resuming from its checkpoint if there is one.

    Args:
        model: all trained parameters.
        loss_of: step number -> scalar loss; draws its batch from the step number alone.
        budget: when to stop; the learning rate follows the share that is used up.
        learning_rate: peak of AdamW.
        checkpoint: .safetensors file of weights, optimiser and progress.
        ema_decay: if positive, the model ends with the moving average of its weights.
        matrix_rate: if positive, the peak rate of Muon, which then trains the hidden matrices.

    Returns:
        The mean loss of the last logged stretch.
    """
    optimizer = _build_optimizer(model, learning_rate, matrix_rate)
    peaks = [group["lr"] for group in optimizer.param_groups]
    average = {k: v.detach().clone() for k, v in model.named_parameters()} if ema_decay else {}
    step, used = _resume(checkpoint, model, optimizer, average)
    model.train()
    began, saved, losses, mean = time.monotonic(), time.monotonic(), [], math.nan
    while True:
        elapsed = used + time.monotonic() - began
        progress = max(step / budget.steps, elapsed / (60 * budget.minutes))
        if progress >= 1:
            break
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * _schedule(progress)
        loss = loss_of(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        optimizer.step()
        step += 1
        decay = min(ema_decay, (1 + step) / (10 + step))  # a young average forgets fast
        for name, value in model.named_parameters():
            if average:
                average[name].lerp_(value.detach(), 1 - decay)
        losses.append(float(loss.detach()))
        if step % _LOG_EVERY == 0:
            mean, losses = sum(losses) / len(losses), []
            _log.info("%s step %d, %.0f%%: loss %.4f", checkpoint.stem, step, 100 * progress, mean)
        if time.monotonic() - saved > _SAVE_EVERY:
            saved = time.monotonic()
            _save(checkpoint, model, optimizer, average, step, used + saved - began)
    _save(checkpoint, model, optimizer, average, step, used + time.monotonic() - began)
    if average:
        model.load_state_dict(average, strict=False)
    model.eval()
    return mean


def use_average(model: nn.Module, checkpoint: Path) -> nn.Module:
    """Load the averaged (or else the plain) weights of a checkpoint, for a look before the end."""
    tensors = load_file(checkpoint)
    prefix = "average." if any(k.startswith("average.") for k in tensors) else "model."
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    weights |= {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    model.load_state_dict(weights)
    return model.eval()


def _build_optimizer(
    model: nn.Module, learning_rate: float, matrix_rate: float
) -> torch.optim.Optimizer:
    if not matrix_rate:
        return torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=_WEIGHT_DECAY)
    optimizer = Muon(*split_parameters(model))
    for group in optimizer.param_groups:
        group["lr"] = matrix_rate if group["muon"] else learning_rate
    return optimizer


def _schedule(progress: float) -> float:
    if progress < _WARMUP:
        return max(progress / _WARMUP, _FINAL_RATE)
    cosine = (1 + math.cos(math.pi * (progress - _WARMUP) / (1 - _WARMUP))) / 2
    return _FINAL_RATE + (1 - _FINAL_RATE) * cosine


def _save(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
    step: int,
    used: float,
) -> None:
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    progress = json.dumps({"step": step, "seconds": used})
    partial = path.with_suffix(".partial")
    copies = {k: v.detach().clone().contiguous() for k, v in tensors.items()}
    save_file(copies, partial, metadata={"progress": progress})
    partial.replace(path)


def _resume(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor]
) -> tuple[int, float]:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return 0, 0.0
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
    with safe_open(path, framework="pt") as file:
        progress = json.loads(file.metadata()["progress"])
    _log.info("%s resumes at step %d", path.stem, progress["step"])
    return int(progress["step"]), float(progress["seconds"])
