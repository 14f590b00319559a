"""Which samples of a data owner lose which modality: the mask, and how holes are drawn.

A pattern is a pure function from samples to presence flags (`patterns`, beside this module, has
them all). The result is saved as a hashed record, so that every method can be shown to have seen
the same holes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import IMAGE, MODALITIES, TEXT, Sample

Flags = Mapping[str, Sequence[bool]]
Weights = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class MissingMask:
    """What is there, per sample.

    Attributes:
        keys: the samples' keys.
        present: by modality, one flag per sample.
    """

    keys: tuple[str, ...]
    present: dict[str, tuple[bool, ...]]

    def apply(self, samples: Sequence[Sample]) -> tuple[Sample, ...]:
        """Return the samples with the holes of the mask.

        Raises:
            DataError: the mask was made for other samples.
        """
        if tuple(sample.key for sample in samples) != self.keys:
            raise DataError("The mask was made for other samples: the keys differ.")
        return tuple(
            replace(
                sample,
                image=sample.image if self.present[IMAGE][i] else None,
                text=sample.text if self.present[TEXT][i] else None,
            )
            for i, sample in enumerate(samples)
        )

    def record(self) -> dict[str, Any]:
        """The mask as a JSON record (see `fedmvp_flwr.base.files`)."""
        present = {name: [int(flag) for flag in flags] for name, flags in self.present.items()}
        return {"keys": list(self.keys), "present": present}


def real_mask(samples: Sequence[Sample]) -> MissingMask:
    """The holes that the samples have themselves."""
    return MissingMask(
        tuple(sample.key for sample in samples),
        {name: tuple(sample.has(name) for sample in samples) for name in MODALITIES},
    )


def random_mask(
    keys: Sequence[str],
    ratio: float,
    image_share: float,
    generator: np.random.Generator,
    has: Flags | None = None,
    weights: Weights | None = None,
    *,
    keep_pair: bool = True,
) -> MissingMask:
    """Remove one modality of some samples, by chance (paper, section 4.1).

    Args:
        keys: the samples' keys.
        ratio: share of the samples that lack a modality in the end, in [0, 1], real holes
            included; rounded to whole samples.
        image_share: share of those that lack the image, in [0, 1]; the others lack the text.
        generator: draws which samples.
        has: by modality, whether the sample really has it; None: everything is there. A sample
            that lacks one modality never loses the other.
        weights: by modality, how likely a sample is to lose it, relative to the others; None: all
            alike, completely at random.
        keep_pair: keep at least one complete pair, if there is one; refuse a ratio of 1.

    Returns:
        A mask that removes at most one modality of each sample.

    Raises:
        DataError: no sample, or a ratio that leaves no complete pair.
    """
    count = len(keys)
    if not count:
        raise DataError("A data owner without samples has nothing to train on.")
    if ratio == 1 and keep_pair:
        raise DataError(
            f"missing-ratio=1 leaves none of {count} samples complete. Completions are judged by "
            "the owner's own complete pairs: keep at least one (for example missing-ratio=0.95)."
        )
    present = {
        name: np.ones(count, dtype=bool) if has is None else np.array(has[name], dtype=bool)
        for name in MODALITIES
    }
    whole = np.flatnonzero(present[IMAGE] & present[TEXT])
    lacking = {name: int((~present[name]).sum()) for name in MODALITIES}
    budget = max(len(whole) - 1, 0) if keep_pair else len(whole)
    missing = min(max(round(ratio * count) - lacking[IMAGE] - lacking[TEXT], 0), budget)
    wanted = round(image_share * (missing + lacking[IMAGE] + lacking[TEXT]))
    without_image = min(max(wanted - lacking[IMAGE], 0), missing)
    if weights is None:
        order = whole[generator.permutation(len(whole))]
        present[IMAGE][order[:without_image]] = False
        present[TEXT][order[without_image:missing]] = False
    else:
        for name, lost in ((IMAGE, without_image), (TEXT, missing - without_image)):
            whole = np.flatnonzero(present[IMAGE] & present[TEXT])
            present[name][whole[_draw(weights[name][whole], lost, generator)]] = False
    flags = {name: tuple(bool(flag) for flag in present[name]) for name in MODALITIES}
    return MissingMask(tuple(keys), flags)


def _draw(
    weights: NDArray[np.float64], count: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw `count` indices without replacement, in proportion to the weights.

    The largest log-weights with Gumbel noise are such a draw; a weight of 0 comes last.
    """
    with np.errstate(divide="ignore"):
        scores = np.log(weights) + generator.gumbel(size=len(weights))
    return np.argsort(-scores, kind="stable")[:count]
