"""How often each class is really there as image and as text, among all owners of a run.

Each owner tells its own counts once; the server sends the sums back with every message. Training
shows a generated modality the more often, the more rarely the real one is there (`model.views`),
and the test names the classes whose image, or text, nobody has ("unseen pairs").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import MODALITIES
from fedmvp_flwr.protocol.summary import Summary

_SAMPLES, _REAL = "class-samples", "class-real-"


@dataclass(frozen=True)
class ClassCounts:
    """Training samples of all owners.

    Attributes:
        samples: by class.
        real: by modality, how many of them really have it, by class.
    """

    samples: list[int]
    real: dict[str, list[int]]

    @classmethod
    def of(cls, summaries: Sequence[Summary], num_classes: int) -> "ClassCounts":
        """Add up what the owners told."""

        def total(counts: Sequence[Sequence[int]]) -> list[int]:
            return [sum(column) for column in zip(*counts, strict=True)] or [0] * num_classes

        return cls(
            total([s.labels for s in summaries]),
            {name: total([s.real[name] for s in summaries]) for name in MODALITIES},
        )

    def record(self) -> dict[str, list[int]]:
        """What travels in the config of a message."""
        return {_SAMPLES: self.samples} | {_REAL + name: c for name, c in self.real.items()}

    @classmethod
    def of_record(cls, config: Mapping[str, Any]) -> "ClassCounts":
        """The inverse of `record`.

        Raises:
            DataError: it is not there.
        """
        try:
            samples = [int(n) for n in config[_SAMPLES]]
            real = {name: [int(n) for n in config[_REAL + name]] for name in MODALITIES}
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"The message has no usable {error}: the server is another version."
            ) from error
        return cls(samples, real)

    def real_shares(self) -> dict[str, Tensor]:
        """By modality (C,) in [0, 1], how much of a class really has it; 1 without a sample."""
        samples = torch.tensor(self.samples)
        return {
            name: torch.where(samples > 0, torch.tensor(counts) / samples.clamp_min(1), 1.0)
            for name, counts in self.real.items()
        }

    def unseen(self) -> dict[str, Tensor]:
        """By modality (C,) bool, the classes of which nobody really has it."""
        return {name: torch.tensor(counts) == 0 for name, counts in self.real.items()}
