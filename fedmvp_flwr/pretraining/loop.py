"""One resumable training loop for all models."""

import logging
import math
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.pretraining.checkpoints import Trained, resume, save_checkpoint
from fedmvp_flwr.pretraining.muon import Muon, split_parameters

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
class Rates:
    """How one kind of model is trained.

    Attributes:
        batch: images per step, at most.
        learning_rate: peak of AdamW.
        matrix_rate: if positive, the peak of Muon, which then trains the hidden matrices.
        ema_decay: if positive, the model ends with the moving average of its weights.
    """

    batch: int
    learning_rate: float
    matrix_rate: float = 0.0
    ema_decay: float = 0.0


def fit(
    model: nn.Module,
    loss_of: Callable[[int], Tensor],
    budget: Budget,
    rates: Rates,
    *,
    checkpoint: Path,
    on_progress: Callable[[float], None] | None = None,
) -> Trained:
    """Train a model in place, resuming from its checkpoint if there is one.

    Args:
        model: all trained parameters.
        loss_of: step number -> scalar loss; draws its batch from the step number alone.
        budget: when to stop; the learning rate follows the share that is used up.
        rates: how to train.
        checkpoint: .safetensors file of weights, optimiser and progress.
        on_progress: called with the share of the budget that is used up.
    """
    optimizer = _build_optimizer(model, rates)
    peaks = [group["lr"] for group in optimizer.param_groups]
    averaged = model.named_parameters() if rates.ema_decay else ()
    average = {name: value.detach().clone() for name, value in averaged}
    past = resume(checkpoint, model, optimizer, average)
    step, used = past.steps, 60 * past.minutes
    model.train()
    began, saved = time.monotonic(), time.monotonic()
    recent: deque[float] = deque(maxlen=_LOG_EVERY)

    def keep() -> Trained:
        loss = statistics.fmean(recent) if recent else past.loss
        trained = Trained(step, (used + time.monotonic() - began) / 60, loss)
        save_checkpoint(checkpoint, model, optimizer, average, trained)
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
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
            recent.append(_finite(float(loss.detach()), checkpoint.stem, step))
            whole = False
            optimizer.step()
            step += 1
            _follow(average, model, min(rates.ema_decay, (1 + step) / (10 + step)))
            whole = True
            if on_progress is not None:
                on_progress(progress)
            if step % _LOG_EVERY == 0:
                loss_now, share = statistics.fmean(recent), 100 * progress
                _log.info("%s step %d, %.0f%%: %.4f", checkpoint.stem, step, share, loss_now)
            if time.monotonic() - saved > _SAVE_EVERY:
                keep()
                saved = time.monotonic()
    except KeyboardInterrupt:
        if whole:
            keep()
        raise
    trained = keep()
    if average:
        model.load_state_dict(average, strict=False)
    model.eval()
    return trained


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


def _build_optimizer(model: nn.Module, rates: Rates) -> torch.optim.Optimizer:
    if not rates.matrix_rate:
        return torch.optim.AdamW(
            model.parameters(), rates.learning_rate, weight_decay=_WEIGHT_DECAY
        )
    optimizer = Muon(*split_parameters(model))
    for group in optimizer.param_groups:
        group["lr"] = rates.matrix_rate if group["muon"] else rates.learning_rate
    return optimizer


def _schedule(progress: float) -> float:
    if progress < _WARMUP:
        return max(progress / _WARMUP, _FINAL_RATE)
    cosine = (1 + math.cos(math.pi * (progress - _WARMUP) / (1 - _WARMUP))) / 2
    return _FINAL_RATE + (1 - _FINAL_RATE) * cosine
