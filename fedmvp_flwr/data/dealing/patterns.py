"""The missing patterns by name: which samples are more likely to lose a modality.

`random` is missing completely at random, `class` and `client` at random given what is always
known (the label, the owner), `content` not at random: it depends on what is lost.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.base.samples import IMAGE, MODALITIES, TEXT, Sample
from fedmvp_flwr.base.seeds import numpy_generator
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.missing import Holes
from fedmvp_flwr.data.dealing.mask_file import read_mask_file
from fedmvp_flwr.data.dealing.missing import MissingMask, Weights, random_mask, real_mask

_LEAST_WEIGHT = 1e-6  # the least likely sample can still be drawn when no other is left


def training_mask(
    samples: Sequence[Sample], config: RunConfig, client: int, num_clients: int
) -> MissingMask:
    """Make the mask of a client's training samples by `missing-pattern`.

    Args:
        samples: the client's samples, with their real holes.
        config: pattern, ratio, image share, strength and `seed`.
        client: the client's number, in [0, num_clients).
        num_clients: number of clients.

    Raises:
        DataError: the pattern cannot be made on these samples.
    """
    holes = config.missing.training_holes
    if holes.pattern == "client":
        lost = lost_modality(holes, config.run.seed, client, num_clients)
        return _without(samples, lost) if samples else real_mask(samples)
    return _mask(samples, holes, config.run.seed, ("mask", client), keep_pair=True)


def whole_test_mask(samples: Sequence[Sample], config: RunConfig) -> MissingMask:
    """Make the mask of the whole test split by `test-missing-pattern`.

    It is made once for all owners, so that server and clients see the same holes. The pattern
    `client` adds nothing here: see `held_out_mask`.

    Raises:
        DataError: the pattern cannot be made on these samples.
    """
    holes = config.missing.test_holes
    by_file = holes.pattern.startswith("file:")
    if holes.pattern == "client" or (holes.ratio == 0 and not by_file):
        return real_mask(samples)
    return _mask(samples, holes, config.run.seed, ("mask", "test"), keep_pair=False)


def held_out_mask(
    samples: Sequence[Sample], config: RunConfig, client: int, num_clients: int
) -> MissingMask:
    """Make the further holes of a client's held-out samples, with the pattern `client`.

    Args:
        samples: its held-out samples, with the holes of `whole_test_mask`.
        config: pattern, ratio, image share and `seed`.
        client: the client's number, in [0, num_clients).
        num_clients: number of clients.
    """
    holes = config.missing.test_holes
    if holes.pattern != "client":
        return real_mask(samples)
    return _without(samples, lost_modality(holes, config.run.seed, client, num_clients))


def lost_modality(holes: Holes, seed: int, client: int, num_clients: int) -> str | None:
    """The modality that a client lacks altogether with the pattern `client`, or None.

    The ratio of the clients lack one, the image share of those the image; which ones, the seed
    decides: with the same ratio and share the same for training and test.
    """
    order = numpy_generator(seed, "mask", "clients").permutation(num_clients)
    lacking = round(holes.ratio * num_clients)
    without_image = round(holes.image_share * lacking)
    place = int(np.flatnonzero(order == client)[0])
    if place < without_image:
        return IMAGE
    return TEXT if place < lacking else None


def _mask(
    samples: Sequence[Sample],
    holes: Holes,
    seed: int,
    purpose: tuple[str | int, ...],
    *,
    keep_pair: bool,
) -> MissingMask:
    kind, _, name = holes.pattern.partition(":")
    if kind == "file":
        return read_mask_file(expanded(name), samples)
    if kind == "real":
        return real_mask(samples)
    weights: Weights | None = None
    if kind == "class":
        weights = class_weights([s.label for s in samples], holes.strength, seed)
    elif kind == "content":
        weights = content_weights(samples, holes.strength)
    elif kind != "random":
        raise DataError(f"missing-pattern='{holes.pattern}' is not known here.")
    return random_mask(
        [sample.key for sample in samples],
        holes.ratio,
        holes.image_share,
        numpy_generator(seed, *purpose),
        {name: [sample.has(name) for sample in samples] for name in MODALITIES},
        weights,
        keep_pair=keep_pair,
    )


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


def _without(samples: Sequence[Sample], modality: str | None) -> MissingMask:
    """Take a modality away altogether, but never the only one of a sample."""
    mask = real_mask(samples)
    if modality is None:
        return mask
    (other,) = set(MODALITIES) - {modality}
    kept = tuple(sample.has(modality) and not sample.has(other) for sample in samples)
    return MissingMask(mask.keys, {**mask.present, modality: kept})


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
