"""One resumable training loop for all models."""

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fedmvp_flwr.errors import ModelError
from fedmvp_flwr.pretraining.muon import Muon, split_parameters

Model = TypeVar("Model", bound=nn.Module)
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


def fit(
    model: nn.Module,
    loss_of: Callable[[int], Tensor],
    budget: Budget,
    *,
    learning_rate: float,
    checkpoint: Path,
    ema_decay: float = 0.0,
    matrix_rate: float = 0.0,
    on_progress: Callable[[float], None] | None = None,
) -> Trained:
    """Train a model in place, resuming from its checkpoint if there is one.

    Args:
        model: all trained parameters.
        loss_of: step number -> scalar loss; draws its batch from the step number alone.
        budget: when to stop; the learning rate follows the share that is used up.
        learning_rate: peak of AdamW.
        checkpoint: .safetensors file of weights, optimiser and progress.
        ema_decay: if positive, the model ends with the moving average of its weights.
        matrix_rate: if positive, the peak rate of Muon, which then trains the hidden matrices.
        on_progress: called with the share of the budget that is used up.
    """
    optimizer = _build_optimizer(model, learning_rate, matrix_rate)
    peaks = [group["lr"] for group in optimizer.param_groups]
    average = {k: v.detach().clone() for k, v in model.named_parameters()} if ema_decay else {}
    past = _resume(checkpoint, model, optimizer, average)
    step, used, mean = past.steps, 60 * past.minutes, past.loss
    model.train()
    began, saved = time.monotonic(), time.monotonic()
    losses: list[float] = []

    def save() -> Trained:
        loss = mean if not losses else sum(losses) / len(losses)
        trained = Trained(step, (used + time.monotonic() - began) / 60, loss)
        _save(checkpoint, model, optimizer, average, trained)
        return trained

    whole = True  # no step is half taken
    try:
        while True:
            elapsed = used + time.monotonic() - began
            progress = max(step / budget.steps, elapsed / (60 * budget.minutes))
            if progress >= 1:
                break
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * _schedule(progress)
            loss = loss_of(step)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
            losses.append(_finite(float(loss.detach()), checkpoint.stem, step))
            whole = False
            optimizer.step()
            step += 1
            _follow(average, model, min(ema_decay, (1 + step) / (10 + step)))
            whole = True
            if on_progress is not None:
                on_progress(progress)
            if step % _LOG_EVERY == 0:
                mean, losses = sum(losses) / len(losses), []
                _log.info("%s step %d, %.0f%%: %.4f", checkpoint.stem, step, 100 * progress, mean)
            if time.monotonic() - saved > _SAVE_EVERY:
                save()
                saved = time.monotonic()
    except KeyboardInterrupt:
        if whole:
            save()
        raise
    trained = save()
    if average:
        model.load_state_dict(average, strict=False)
    model.eval()
    return trained


def use_average(model: Model, checkpoint: Path) -> Model:
    """Load the averaged (or else the plain) weights of a checkpoint, for a look before the end."""
    tensors = load_file(checkpoint)
    prefix = "average." if any(k.startswith("average.") for k in tensors) else "model."
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    weights |= {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    model.load_state_dict(weights)
    return model.eval()


def _finite(loss: float, name: str, step: int) -> float:
    if not math.isfinite(loss):
        raise ModelError(
            f"{name}: the loss is {loss} at step {step}. Remove its checkpoint and train it again, "
            "with another seed or a smaller model."
        )
    return loss


def _follow(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    """Move the average towards the weights; a young one is given a small decay and forgets fast."""
    for name, value in model.named_parameters():
        if average:
            average[name].lerp_(value.detach(), 1 - decay)


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
    trained: Trained,
) -> None:
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


def _resume(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor]
) -> Trained:
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
