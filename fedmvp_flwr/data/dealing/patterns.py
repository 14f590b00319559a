"""The missing patterns by name: which samples are more likely to lose a modality.

`random` is missing completely at random, `class` and `client` at random given what is always
known (the label, the owner), `content` not at random: it depends on what is lost. A new one is a
function and a line in `PATTERNS`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmvp_flwr.base.choices import Value, choose, number, text
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
        ratio: share of the samples that lack one modality, in [0, 1].
        image_share: share of those that lack the image, in [0, 1].
        seed: the run's seed.
        client: whose samples they are, in [0, clients); -1: the test samples of all.
        clients: number of clients.
    """

    value: Any
    ratio: float
    image_share: float
    seed: int
    client: int = -1
    clients: int = 0

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
    samples: Sequence[Sample], missing: MissingSettings, seed: int, client: int, num_clients: int
) -> MissingMask:
    """Make the mask of a client's training samples by `missing-pattern`.

    Raises:
        ConfigError: there is no such pattern.
        DataError: the pattern cannot be made on these samples.
    """
    pattern, value = choose(_TRAINING, missing.missing_pattern, PATTERNS)
    share = missing.missing_image_share
    holes = Holes(value, missing.missing_ratio, share, seed, client, num_clients)
    return pattern.mask(samples, holes)


def whole_test_mask(samples: Sequence[Sample], missing: MissingSettings, seed: int) -> MissingMask:
    """Make the mask of the whole test split by `test-missing-pattern`.

    It is made once for all owners, so that server and clients see the same holes. A pattern by
    client adds nothing here: see `held_out_mask`.

    Raises:
        ConfigError: there is no such pattern.
        DataError: the pattern cannot be made on these samples.
    """
    pattern, value = choose(_TEST, missing.test_missing_pattern, PATTERNS)
    ratio = missing.test_missing_ratio
    if pattern.by_client or not (ratio or pattern.own_ratio):
        return real_mask(samples)
    return pattern.mask(samples, Holes(value, ratio, missing.missing_image_share, seed))


def held_out_mask(
    samples: Sequence[Sample], missing: MissingSettings, seed: int, client: int, num_clients: int
) -> MissingMask:
    """Make the further holes of a client's held-out samples, with a pattern by client.

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
    """The modality that a client lacks altogether with the pattern `client`, or None.

    The ratio of the clients lack one, the image share of those the image; which ones, the seed
    decides: with the same ratio the same for training and test.
    """
    order = numpy_generator(holes.seed, "mask", "clients").permutation(holes.clients)
    lacking = round(holes.ratio * holes.clients)
    without_image = round(holes.image_share * lacking)
    place = int(np.flatnonzero(order == holes.client)[0])
    if place < without_image:
        return IMAGE
    return TEXT if place < lacking else None


def class_weights(labels: Sequence[int], strength: float, seed: int) -> Weights:
    """How likely samples are to lose a modality, by their class.

    Each class has a place u in (0, 1), from a hash of seed and label, so that it is the same at
    every client: its images get lost with weight u ** strength, its texts with (1 - u) ** strength.

    Args:
        labels: (N,) classes.
        strength: 0 makes all classes alike.
        seed: the run's seed.
    """
    places = {
        label: float(numpy_generator(seed, "mask", "class", label).uniform())
        for label in set(labels)
    }
    place = np.array([places[label] for label in labels])
    return {IMAGE: _power(place, strength), TEXT: _power(1 - place, strength)}


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
    weights = class_weights([s.label for s in samples], holes.value, holes.seed)
    return _by_chance(samples, holes, weights)


def _by_content(samples: Sequence[Sample], holes: Holes) -> MissingMask:
    return _by_chance(samples, holes, content_weights(samples, holes.value))


def _by_client(samples: Sequence[Sample], holes: Holes) -> MissingMask:
    """Take a modality away altogether, but never the only one of a sample."""
    mask, modality = real_mask(samples), lost_modality(holes)
    if modality is None:
        return mask
    (other,) = set(MODALITIES) - {modality}
    kept = tuple(sample.has(modality) and not sample.has(other) for sample in samples)
    return MissingMask(mask.keys, {**mask.present, modality: kept})


_STRENGTH = Value("a number that is not below 0", number(float, 0), default=2.0)

PATTERNS: dict[str, Pattern] = {
    "class": Pattern(_by_class, _STRENGTH),
    "client": Pattern(_by_client, by_client=True),
    "content": Pattern(_by_content, _STRENGTH),
    "file": Pattern(
        lambda samples, holes: read_mask_file(expanded(holes.value), samples),
        Value("a path", text),
        own_ratio=True,
    ),
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
