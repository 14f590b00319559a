"""The frame of every training: draw a batch by the step's number, take its loss, fit."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from fedmvp_flwr.base.seeds import numpy_generator, torch_generator
from fedmvp_flwr.pretraining.bank import Bank, Index, pixels_of
from fedmvp_flwr.pretraining.checkpoints import Trained
from fedmvp_flwr.pretraining.loop import Budget, fit
from fedmvp_flwr.pretraining.shape import Shape

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Rates:
    """How one kind of model is trained.

    Attributes:
        batch: images per step, at most.
        learning_rate: peak of AdamW.
        matrix_rate: peak of Muon, for the hidden matrices.
        ema_decay: of the moving average of the weights that the model ends with.
    """

    batch: int
    learning_rate: float
    matrix_rate: float
    ema_decay: float

    def scaled(self, factor: float) -> "Rates":
        """The same with both rates multiplied."""
        return Rates(
            self.batch, factor * self.learning_rate, factor * self.matrix_rate, self.ema_decay
        )


@dataclass(frozen=True)
class Draw:
    """What one step draws.

    Attributes:
        bank: where from.
        index: (B,) of the images, without repetition.
        chance: draws everything else about texts.
        noise: draws everything else about tensors, on the CPU.
        device: where the model trains.
    """

    bank: Bank
    index: Index
    chance: np.random.Generator
    noise: torch.Generator
    device: str

    @property
    def pixels(self) -> Tensor:
        """(B, 3, S, S) in [-1, 1], on the device."""
        return pixels_of(self.bank, self.index, self.device)

    @property
    def attributes(self) -> Tensor:
        """(B, A) value indices, on the device."""
        return self.bank.attributes[torch.from_numpy(self.index)].to(self.device)


@dataclass(frozen=True)
class Job:
    """What every training needs.

    Attributes:
        bank: what to learn from.
        work: folder of the checkpoints.
        budget: when to stop.
        seed: of weights, batches and noise.
        shape: how large the models are.
        tokenizer: of all their texts.
        device: where the model trains; random numbers are drawn on the CPU in any case.
        on_progress: called with the share of the budget that is used up.
    """

    bank: Bank
    work: Path
    budget: Budget
    seed: int
    shape: Shape
    tokenizer: Any
    device: str = "cpu"
    on_progress: Callable[[float], None] | None = None

    @cached_property
    def attribute_sizes(self) -> tuple[int, ...]:
        """Number of values of each attribute that the bank knows."""
        return self.bank.attribute_sizes

    def checkpoint(self, name: str) -> Path:
        """The file that a training resumes from."""
        return self.work / f"{name}.safetensors"

    def draw(self, name: str, step: int, size: int) -> Draw:
        """What a step draws: by the seed, the training's name and the step alone."""
        chance = numpy_generator(self.seed, name, step)
        count = len(self.bank.images)
        index = chance.choice(count, min(size, count), replace=False)
        noise = torch_generator(self.seed, name, step)
        return Draw(self.bank, index, chance, noise, self.device)

    def tokens(self, texts: list[str]) -> Any:  # noqa: ANN401 - transformers' own
        """Token ids and mask of texts, cut at the context, on the device."""
        batch = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        return batch.to(self.device)


def seeded(seed: int, build: Callable[[], Model]) -> Model:
    """Build a model whose first weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def train(
    job: Job,
    name: str,
    rates: Rates,
    loss_of: Callable[[Draw], Tensor],
    trained: nn.Module,
) -> Trained:
    """Train a model's parameters in place, resuming from its checkpoint if there is one.

    Args:
        job: what to learn from and for how long.
        name: of the training: of its checkpoint and of its random draws.
        rates: how to train.
        loss_of: the scalar loss of a draw.
        trained: holds all parameters to train, on the job's device already.
    """
    return fit(
        trained,
        lambda step: loss_of(job.draw(name, step, rates.batch)),
        job.budget,
        learning_rate=rates.learning_rate,
        matrix_rate=rates.matrix_rate,
        ema_decay=rates.ema_decay,
        checkpoint=job.checkpoint(name),
        on_progress=job.on_progress,
    )


def train_whole(
    job: Job,
    name: str,
    rates: Rates,
    trainer: Model,
    loss_of: Callable[[Model, Draw], Tensor],
    start: Callable[[Model], None] | None = None,
) -> tuple[Model, Trained]:
    """Train all parameters of a model on the job's device; returns it on the CPU.

    Args:
        job: what to learn from and for how long.
        name: of the training: of its checkpoint and of its random draws.
        rates: how to train.
        trainer: the untrained model.
        loss_of: its scalar loss of a draw.
        start: changes the untrained model, for example to weights of another one.
    """
    if start is not None:
        start(trainer)
    trainer.to(job.device)
    trained = train(job, name, rates, lambda draw: loss_of(trainer, draw), trainer)
    return trainer.cpu(), trained
