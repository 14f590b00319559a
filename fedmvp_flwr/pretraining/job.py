"""The frame of every training: draw a batch by the step's number, take its loss, fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmvp_flwr.base.seeds import numpy_generator, torch_generator
from fedmvp_flwr.pretraining.bank import Bank, Index, pixels_of
from fedmvp_flwr.pretraining.checkpoints import Trained
from fedmvp_flwr.pretraining.loop import Budget, Rates, fit
from fedmvp_flwr.pretraining.shape import Shape

Model = TypeVar("Model", bound=nn.Module)


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

    def checkpoint(self, name: str) -> Path:
        """The file that a training resumes from."""
        return self.work / f"{name}.safetensors"

    def build(self, model: Callable[..., Model]) -> Model:
        """A model of the job's shape, tokenizer and numbers of values of each attribute.

        Its weights depend on the seed.
        """
        return seeded(
            self.seed, lambda: model(self.shape, self.tokenizer, self.bank.attribute_sizes)
        )

    def draw(self, name: str, step: int, size: int) -> "Draw":
        """What a step draws: by the seed, the training's name and the step alone."""
        chance = numpy_generator(self.seed, name, step)
        count = len(self.bank.images)
        index = chance.choice(count, min(size, count), replace=False)
        return Draw(self, index, chance, torch_generator(self.seed, name, step))

    def tokens(self, texts: list[str]) -> Any:  # noqa: ANN401 - transformers' own
        """Token ids and mask of texts, cut at the context, on the device."""
        batch = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        return batch.to(self.device)


@dataclass(frozen=True)
class Draw:
    """What one step draws.

    Attributes:
        job: where from.
        index: (B,) of the images, without repetition.
        chance: draws everything else about texts.
        noise: draws everything else about tensors, on the CPU.
    """

    job: Job
    index: Index
    chance: np.random.Generator
    noise: torch.Generator

    @property
    def pixels(self) -> Tensor:
        """(B, 3, S, S) in [-1, 1], on the device."""
        return pixels_of(self.job.bank, self.index, self.job.device)

    @property
    def attributes(self) -> Tensor:
        """(B, A) value indices, on the device."""
        return self.job.bank.attributes[torch.from_numpy(self.index)].to(self.job.device)


class Trainer(nn.Module):
    """A model, perhaps with heads that are dropped after the training, and how it is trained."""

    name: ClassVar[str]
    """Of the training: of its checkpoint and of its random draws."""
    rates: ClassVar[Rates]

    @property
    def trained(self) -> nn.Module:
        """Holds all parameters to train."""
        return self

    def loss(self, draw: Draw) -> Tensor:
        """The scalar loss of a draw."""
        raise NotImplementedError


def seeded(seed: int, build: Callable[[], Model]) -> Model:
    """Build a model whose first weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def train(job: Job, trainer: Trainer) -> Trained:
    """Train in place on the job's device, resuming from the checkpoint; it ends on the CPU."""
    trainer.to(job.device)
    trained = fit(
        trainer.trained,
        lambda step: trainer.loss(job.draw(trainer.name, step, trainer.rates.batch)),
        job.budget,
        trainer.rates,
        checkpoint=job.checkpoint(trainer.name),
        on_progress=job.on_progress,
    )
    trainer.cpu()
    return trained


class AttributeHeads(nn.ModuleList):
    """One linear head per attribute; none if the bank names no attributes.

    Args:
        width: of the image tokens.
        sizes: number of values of each attribute.
    """

    def __init__(self, width: int, sizes: Sequence[int]) -> None:
        super().__init__(nn.Linear(width, size) for size in sizes)

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy over the attributes; 0 without any.

        Args:
            tokens: (B, T, D) image tokens.
            targets: (B, A) value indices.
        """
        pooled = tokens.mean(dim=1)
        if not len(self):
            return pooled.new_zeros(())
        losses = [F.cross_entropy(head(pooled), targets[:, i]) for i, head in enumerate(self)]
        return reduce(torch.add, losses) / len(self)
