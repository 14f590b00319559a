"""The missing patterns by name: who lacks what.

`owner` takes a modality from whole owners, `class` from whole classes everywhere: what people have.
With `random` single samples lose one completely at random, with `content` depending on what is
lost. A new one is a function and a line in `PATTERNS`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmvp_flwr.base.choices import Value, choose, number, share, text
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.base.samples import IMAGE, MODALITIES, TEXT, Sample
from fedmvp_flwr.base.seeds import numpy_generator
from fedmvp_flwr.config.missing import MissingSettings
from fedmvp_flwr.data.dealing.mask_file import read_mask_file
from fedmvp_flwr.data.dealing.missing import MissingMask, Weights, random_mask, real_mask

_LEAST_WEIGHT = 1e-6  # the least likely sample can still be drawn when no other is left
_TRAINING, _TEST = "missing-pattern", "test-missing-pattern"


@dataclass(frozen=True)
class Holes:
    """What a pattern is asked for.

    Attributes:
        value: what follows its name.
        ratio: share of what the pattern goes by (samples, owners, classes) that lacks one
            modality, in [0, 1].
        image_share: share of those that lack the image, in [0, 1]; the others lack the text.
        seed: the run's seed.
        client: whose samples they are, in [0, clients); -1: the test samples of all.
        clients: number of clients.
        classes: number of classes.
    """

    value: Any
    ratio: float
    image_share: float
    seed: int
    client: int = -1
    clients: int = 0
    classes: int = 0

    @property
    def generator(self) -> np.random.Generator:
        """Draws which samples lose what."""
        return numpy_generator(self.seed, "mask", "test" if self.client < 0 else self.client)


@dataclass(frozen=True)
class Pattern:
    """A way to make holes.

    Attributes:
        mask: makes them in samples that may have real ones; raises a DataError.
        value: what follows the name.
        by_client: whether it needs to know whose samples they are, also in testing.
        own_ratio: whether it makes holes at the ratio 0, too.
    """

    mask: Callable[[Sequence[Sample], Holes], MissingMask]
    value: Value | None = None
    by_client: bool = False
    own_ratio: bool = False


def training_mask(
    samples: Sequence[Sample],
    missing: MissingSettings,
    seed: int,
    client: int,
    num_clients: int,
    num_classes: int,
) -> MissingMask:
    """Make the mask of a client's training samples by `missing-pattern`.

    Raises:
        ConfigError: there is no such pattern.
        DataError: the pattern cannot be made on these samples.
    """
    pattern, value = choose(_TRAINING, missing.missing_pattern, PATTERNS)
    share = missing.missing_image_share
    holes = Holes(value, missing.missing_ratio, share, seed, client, num_clients, num_classes)
    return pattern.mask(samples, holes)


def whole_test_mask(
    samples: Sequence[Sample], missing: MissingSettings, seed: int, num_classes: int
) -> MissingMask:
    """Make the mask of the whole test split by `test-missing-pattern`.

    It is made once for all owners, so that server and clients see the same holes. A pattern by
    owner adds nothing here: see `held_out_mask`.

    Raises:
        ConfigError: there is no such pattern.
        DataError: the pattern cannot be made on these samples.
    """
    pattern, value = choose(_TEST, missing.test_missing_pattern, PATTERNS)
    ratio = missing.test_missing_ratio
    if pattern.by_client or not (ratio or pattern.own_ratio):
        return real_mask(samples)
    share = missing.missing_image_share
    return pattern.mask(samples, Holes(value, ratio, share, seed, classes=num_classes))


def held_out_mask(
    samples: Sequence[Sample], missing: MissingSettings, seed: int, client: int, num_clients: int
) -> MissingMask:
    """Make the further holes of a client's held-out samples, with a pattern by owner.

    The samples have the holes of `whole_test_mask` already.

    Raises:
        ConfigError: there is no such pattern.
    """
    pattern, value = choose(_TEST, missing.test_missing_pattern, PATTERNS)
    if not pattern.by_client:
        return real_mask(samples)
    ratio, share = missing.test_missing_ratio, missing.missing_image_share
    return pattern.mask(samples, Holes(value, ratio, share, seed, client, num_clients))


def require_patterns(missing: MissingSettings) -> None:
    """Raise a ConfigError where a pattern is not known."""
    choose(_TRAINING, missing.missing_pattern, PATTERNS)
    choose(_TEST, missing.test_missing_pattern, PATTERNS)


def lost_modality(holes: Holes) -> str | None:
    """The modality that an owner lacks altogether with the pattern `owner`, or None."""
    return _lost(holes, "clients", holes.clients)[holes.client]


def lost_by_class(holes: Holes) -> list[str | None]:
    """The modality that each class lacks at every owner with the pattern `class`, or None."""
    return _lost(holes, "classes", holes.classes)


def _lost(holes: Holes, what: str, count: int) -> list[str | None]:
    """What each of `count` lacks altogether: the exact shares, which of them by the seed.

    With the same ratio the same for training and test.
    """
    order = numpy_generator(holes.seed, "mask", what).permutation(count)
    lacking = round(holes.ratio * count)
    without_image = round(holes.image_share * lacking)
    lost: list[str | None] = [None] * count
    for place, index in enumerate(order[:lacking]):
        lost[index] = IMAGE if place < without_image else TEXT
    return lost


def content_weights(samples: Sequence[Sample], strength: float) -> Weights:
    """How likely samples are to lose a modality, by its content: dark images, short texts.

    The place of a sample is its rank by brightness (text: length), from 1 for the darkest
    (shortest) down to 0, ties sharing their mean; its weight is place ** strength.

    Args:
        samples: N samples; what is a hole already has no weight.
        strength: 0 makes all samples alike.
    """
    brightness = np.array([_brightness(sample) for sample in samples])
    length = np.array([np.nan if s.text is None else len(s.text) for s in samples])
    return {
        IMAGE: _power(1 - _ranks(brightness), strength),
        TEXT: _power(1 - _ranks(length), strength),
    }


def _by_chance(
    samples: Sequence[Sample], holes: Holes, weights: Weights | None = None
) -> MissingMask:
    return random_mask(
        [sample.key for sample in samples],
        holes.ratio,
        holes.image_share,
        holes.generator,
        {name: [sample.has(name) for sample in samples] for name in MODALITIES},
        weights,
        keep_pair=holes.client >= 0,
    )


def _by_class(samples: Sequence[Sample], holes: Holes) -> MissingMask:
    lost = lost_by_class(holes)
    return _without(samples, [lost[sample.label] for sample in samples], holes)


def _by_owner(samples: Sequence[Sample], holes: Holes) -> MissingMask:
    return _without(samples, [lost_modality(holes)] * len(samples), holes)


def _without(samples: Sequence[Sample], lost: Sequence[str | None], holes: Holes) -> MissingMask:
    """Take from each sample what it has lost, but never its only modality.

    Of the samples that have lost nothing the share `holes.value` loses one at random.
    """
    mask = real_mask(samples)
    present = {
        name: [
            sample.has(name) and not (sample.complete and gone == name)
            for sample, gone in zip(samples, lost, strict=True)
        ]
        for name in MODALITIES
    }
    kept = [i for i, gone in enumerate(lost) if gone is None]
    if holes.value and kept:
        further = _by_chance([samples[i] for i in kept], replace(holes, ratio=holes.value))
        for name in MODALITIES:
            for i, flag in zip(kept, further.present[name], strict=True):
                present[name][i] = flag
    return MissingMask(mask.keys, {name: tuple(flags) for name, flags in present.items()})


def _by_content(samples: Sequence[Sample], holes: Holes) -> MissingMask:
    return _by_chance(samples, holes, content_weights(samples, holes.value))


_STRENGTH = Value("a number that is not below 0", number(float, 0), default=2.0)
_FURTHER = Value("a share in [0, 1), of the others' samples", share, default=0.0)

PATTERNS: dict[str, Pattern] = {
    "class": Pattern(_by_class, _FURTHER),
    "content": Pattern(_by_content, _STRENGTH),
    "file": Pattern(
        lambda samples, holes: read_mask_file(expanded(holes.value), samples),
        Value("a path", text),
        own_ratio=True,
    ),
    "owner": Pattern(_by_owner, _FURTHER, by_client=True),
    "random": Pattern(_by_chance),
    "real": Pattern(lambda samples, _: real_mask(samples)),
}


def _brightness(sample: Sample) -> float:
    if sample.image is None:
        return np.nan
    known = getattr(sample.image, "brightness", None)
    if known is not None:
        return float(known)
    return float(np.asarray(sample.image.load().convert("L"), dtype=np.float32).mean()) / 255


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean ranks in [0, 1], smallest first; 1 for NaN."""
    known = values[~np.isnan(values)]
    if len(known) < 2:
        return np.where(np.isnan(values), 1.0, 0.5)
    below = np.searchsorted(np.sort(known), values, side="left")
    up_to = np.searchsorted(np.sort(known), values, side="right")
    ranks = (below + up_to - 1) / 2 / (len(known) - 1)
    return np.where(np.isnan(values), 1.0, ranks)


def _power(place: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
    return np.asarray(np.maximum(place, _LEAST_WEIGHT) ** strength, dtype=np.float64)
