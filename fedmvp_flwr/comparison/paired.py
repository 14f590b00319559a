"""Paired differences between two methods, with bootstrap intervals over seeds and test samples.

Two methods see the same samples, holes and seeds, so they are compared sample by sample: what is
left is much less than the spread of either.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DRAWS = 2000
_LEVEL = 0.95
_SEED = 0


@dataclass(frozen=True)
class Difference:
    """How far one method is above another one, in [-1, 1].

    Attributes:
        mean: over the seeds.
        low: lower end of the 95% interval.
        high: upper end of it.
        per_seed: one difference each.
    """

    mean: float
    low: float
    high: float
    per_seed: list[float]

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies above or below 0, otherwise 0."""
        return int(self.low > 0) - int(self.high < 0)


def paired_difference(
    ours: Sequence[NDArray[np.bool_]], theirs: Sequence[NDArray[np.bool_]]
) -> Difference:
    """Compare two methods by whether they classify each test sample right.

    Seeds are drawn with replacement, and test samples: the same ones for all seeds where all have
    the same number of them, otherwise for each seed its own.

    Args:
        ours: per seed (N,) bool, right or wrong.
        theirs: the same of the other method, on the same samples.
    """
    gains = [a.astype(float) - b.astype(float) for a, b in zip(ours, theirs, strict=True)]
    per_seed = [float(gain.mean()) for gain in gains]
    generator = np.random.default_rng(_SEED)
    seeds = generator.integers(len(gains), size=(_DRAWS, len(gains)))
    if len({len(gain) for gain in gains}) == 1:
        stacked, count = np.stack(gains), len(gains[0])
        shares = generator.multinomial(count, np.full(count, 1 / count), size=_DRAWS) / count
        means = shares @ stacked.T  # (draws, seeds)
    else:
        means = np.stack([_resampled(gain, generator) for gain in gains], axis=1)
    return _of_means(np.take_along_axis(means, seeds, axis=1).mean(axis=1), per_seed)


def seed_difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """The same where only the scores of each seed are known: seeds alone are drawn."""
    gains = np.asarray(ours, float) - np.asarray(theirs, float)
    seeds = np.random.default_rng(_SEED).integers(len(gains), size=(_DRAWS, len(gains)))
    return _of_means(gains[seeds].mean(axis=1), gains.tolist())


def _resampled(gain: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    count = len(gain)
    shares = generator.multinomial(count, np.full(count, 1 / count), size=_DRAWS) / count
    return np.asarray(shares @ gain)


def _of_means(means: NDArray[np.float64], per_seed: list[float]) -> Difference:
    outside = (1 - _LEVEL) / 2
    low, high = np.quantile(means, [outside, 1 - outside])
    return Difference(float(np.mean(per_seed)), float(low), float(high), per_seed)
