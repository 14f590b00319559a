"""What every training is made of: a job, a draw by the step's number, a trainer with its loss."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmvp_flwr.base.seeds import numpy_generator, torch_generator
from fedmvp_flwr.pretraining.bank import Bank, Index, pixels_of
from fedmvp_flwr.pretraining.checkpoints import Model
from fedmvp_flwr.pretraining.shape import Shape


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
        matrix_rate: peak of Muon, which trains the hidden matrices.
        ema_decay: of the moving average of the weights that the model ends with.
    """

    batch: int
    learning_rate: float
    matrix_rate: float
    ema_decay: float


@dataclass(frozen=True)
class Job:
    """What every training needs.

    Attributes:
        bank: what to learn from.
        work: folder of the checkpoints.
        budget: when to stop; the learning rates follow the share that is used up.
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

    def build(self, model: Callable[["Job"], Model]) -> Model:
        """A model of this job, whose first weights depend on the seed."""
        return seeded(self.seed, lambda: model(self))

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

    def loss(self, draw: Draw) -> Tensor:
        """The scalar loss of a draw."""
        raise NotImplementedError


def seeded(seed: int, build: Callable[[], Model]) -> Model:
    """Build a model whose first weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


class AttributeHeads(nn.ModuleList):
    """One linear head per attribute on image tokens; none if the bank names no attributes."""

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
        return torch.stack(losses).mean()
