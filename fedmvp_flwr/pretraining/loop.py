"""One resumable training loop for all models."""

import logging
import math
import statistics
import time
from collections import deque

import torch

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.pretraining.checkpoints import Trained, resume, save_checkpoint
from fedmvp_flwr.pretraining.job import Job, Trainer
from fedmvp_flwr.pretraining.muon import Muon, split_parameters

_log = logging.getLogger(__name__)
_WARMUP = 0.03  # share of the run
_FINAL_RATE = 0.02  # of the peak
_CLIP = 1.0
_SAVE_EVERY = 90.0  # seconds
_LOG_EVERY = 50  # steps


def train(job: Job, trainer: Trainer) -> Trained:
    """Train in place on the job's device, resuming from the checkpoint; it ends on the CPU.

    What requires no gradient stays as it is.
    """
    trainer.to(job.device)
    rates, budget, checkpoint = trainer.rates, job.budget, job.checkpoint(trainer.name)
    optimizer = Muon(*split_parameters(trainer))
    average = {name: value.detach().clone() for name, value in trainer.named_parameters()}
    past = resume(checkpoint, trainer, optimizer, average)
    step, used = past.steps, 60 * past.minutes
    trainer.train()
    began, saved = time.monotonic(), time.monotonic()
    recent: deque[float] = deque(maxlen=_LOG_EVERY)

    def keep() -> Trained:
        loss = statistics.fmean(recent) if recent else past.loss
        trained = Trained(step, (used + time.monotonic() - began) / 60, loss)
        save_checkpoint(checkpoint, trainer, optimizer, average, trained)
        return trained

    whole = True  # no step is half taken
    try:
        while True:
            elapsed = used + time.monotonic() - began
            progress = max(step / budget.steps, elapsed / (60 * budget.minutes))
            if progress >= 1:
                break
            for group in optimizer.param_groups:
                peak = rates.matrix_rate if group["muon"] else rates.learning_rate
                group["lr"] = peak * _schedule(progress)
            loss = trainer.loss(job.draw(trainer.name, step, rates.batch))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trainer.parameters(), _CLIP)
            recent.append(_finite(float(loss.detach()), trainer.name, step))
            whole = False
            optimizer.step()
            step += 1
            # A young average is given a small decay and forgets fast.
            decay = min(rates.ema_decay, (1 + step) / (10 + step))
            for name, value in trainer.named_parameters():
                average[name].lerp_(value.detach(), 1 - decay)
            whole = True
            if job.on_progress is not None:
                job.on_progress(progress)
            if step % _LOG_EVERY == 0:
                loss_now, share = statistics.fmean(recent), 100 * progress
                _log.info("%s step %d, %.0f%%: %.4f", trainer.name, step, share, loss_now)
            if time.monotonic() - saved > _SAVE_EVERY:
                keep()
                saved = time.monotonic()
    except KeyboardInterrupt:
        if whole:
            keep()
        raise
    trained = keep()
    trainer.load_state_dict(average, strict=False)
    trainer.eval().cpu()
    return trained


def _finite(loss: float, name: str, step: int) -> float:
    if not math.isfinite(loss):
        raise ModelError(
            f"{name}: the loss is {loss} at step {step}. Remove its checkpoint and train it again, "
            "with another seed or a smaller model."
        )
    return loss


def _schedule(progress: float) -> float:
    if progress < _WARMUP:
        return max(progress / _WARMUP, _FINAL_RATE)
    cosine = (1 + math.cos(math.pi * (progress - _WARMUP) / (1 - _WARMUP))) / 2
    return _FINAL_RATE + (1 - _FINAL_RATE) * cosine
