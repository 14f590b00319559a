"""Which samples of a data owner lose which modality.

A pattern is a pure function from the number of samples to presence flags. The result is saved as
a hashed record, so that every method can be shown to have seen the same holes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fedmvp_flwr.data.samples import IMAGE, MODALITIES, TEXT, Sample
from fedmvp_flwr.errors import DataError


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
        """The mask as a JSON record (see `fedmvp_flwr.data.records`)."""
        present = {name: [int(flag) for flag in flags] for name, flags in self.present.items()}
        return {"keys": list(self.keys), "present": present}


def random_mask(
    keys: Sequence[str], ratio: float, image_share: float, generator: np.random.Generator
) -> MissingMask:
    """Remove one modality of some samples, completely at random (paper, section 4.1).

    Args:
        keys: the samples' keys.
        ratio: share of the samples that lose a modality, in [0, 1]; rounded to whole samples,
            but one complete pair is always kept if the ratio is below 1.
        image_share: share of those that lose the image, in [0, 1]; the others lose the text.
        generator: draws which samples.

    Returns:
        A mask that removes at most one modality of each sample.

    Raises:
        DataError: ratios outside [0, 1], no sample, or a ratio that leaves no complete pair.
    """
    for name, value in (("missing-ratio", ratio), ("missing-image-share", image_share)):
        if not 0 <= value <= 1:
            raise DataError(f"{name} must be in [0, 1], got {value}.")
    count = len(keys)
    if not count:
        raise DataError("A data owner without samples has nothing to train on.")
    if ratio == 1:
        raise DataError(
            f"missing-ratio=1 leaves none of {count} samples complete. Completions are judged by "
            "the owner's own complete pairs: keep at least one (for example missing-ratio=0.95)."
        )
    missing = min(round(ratio * count), count - 1)
    without_image = round(image_share * missing)
    order = generator.permutation(count)
    present = {name: np.ones(count, dtype=bool) for name in MODALITIES}
    present[IMAGE][order[:without_image]] = False
    present[TEXT][order[without_image:missing]] = False
    flags = {name: tuple(bool(flag) for flag in present[name]) for name in MODALITIES}
    return MissingMask(tuple(keys), flags)
