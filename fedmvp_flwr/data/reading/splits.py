"""Which samples are for training and which for testing."""

import math
from collections import Counter
from collections.abc import Sequence

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import TEST, TRAIN, VALIDATION, Sample
from fedmvp_flwr.base.seeds import seed_for
from fedmvp_flwr.config.data import DataSettings

_VALIDATION_NAMES = ("validation", "valid", "dev")  # what others call it
SPLIT_NAMES = frozenset({TRAIN, TEST, VALIDATION, *_VALIDATION_NAMES, "public"})
_DIGITS = 9  # of a share of samples: 100 * 0.07 is 7, not 7.000000000000001


def choose_splits(
    samples: Sequence[tuple[Sample, str | None]], data: DataSettings, source: str
) -> dict[str, tuple[Sample, ...]]:
    """Sort samples into splits by the names that they carry, or hold out a fraction.

    Args:
        samples: each with the name of its split, None where it has none.
        data: `train-split`, `test-split`, `test-fraction` and `data-seed`.
        source: the data set, for messages.

    Returns:
        `train` and `test`, then the other splits under their own names (`validation` and the like
        as `val`); the order within a split is that of `samples`. In none are samples without a
        split where others have one, and those of a split whose name is taken: of `test`, where
        `test-split` names another one.

    Raises:
        DataError: a split is not there, or nothing would be left in one.
    """
    names = Counter(name for _, name in samples if name is not None)
    if not names:
        whole = [sample for sample, _ in samples]
        train, test = hold_out(whole, data.test_fraction, data.data_seed)
        return require_both({TRAIN: train, TEST: test}, source)
    wanted = {TRAIN: data.train_split.split("+")}
    if data.test_split:
        wanted[TEST] = data.test_split.split("+")
    missing = [name for parts in wanted.values() for name in parts if name not in names]
    if missing:
        there = ", ".join(f"'{name}' ({count})" for name, count in sorted(names.items()))
        raise DataError(
            f"dataset='{source}' has no split {missing}; it has {there}. Set train-split and "
            "test-split (test-split='' holds out test-fraction of the training split)."
        )
    both = set(wanted[TRAIN]) & set(wanted.get(TEST, ()))
    if both:
        raise DataError(f"train-split and test-split both name {sorted(both)}.")
    splits = {
        role: tuple(sample for sample, name in samples if name in parts)
        for role, parts in wanted.items()
    }
    if TEST not in splits:
        splits[TRAIN], splits[TEST] = hold_out(splits[TRAIN], data.test_fraction, data.data_seed)
    used = {name for parts in wanted.values() for name in parts}
    for other in sorted(set(names) - used - set(splits)):
        validates = other in _VALIDATION_NAMES and VALIDATION not in {*names, *splits}
        own = tuple(sample for sample, name in samples if name == other)
        splits[VALIDATION if validates else other] = own
    return require_both(splits, source)


def hold_out(
    samples: Sequence[Sample], fraction: float, seed: int
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Split off a fraction of every class, by the keys and a seed alone.

    Each class gives its share, rounded up or down, and keeps at least one sample. What rounding
    leaves over in one class is made up for in the next, so that the shares are exact over all
    classes together, as far as these bounds let them.
    """
    by_class: dict[int, list[Sample]] = {}
    for sample in samples:
        by_class.setdefault(sample.label, []).append(sample)
    held: set[str] = set()
    seen = 0
    for _, members in sorted(by_class.items()):
        seen += len(members)
        share = round(len(members) * fraction, _DIGITS)
        due = round(seen * fraction) - len(held)
        count = min(max(due, math.floor(share)), math.ceil(share), len(members) - 1)
        order = sorted(members, key=lambda s: seed_for(seed, "hold-out", s.key))
        held.update(sample.key for sample in order[:count])
    return (
        tuple(sample for sample in samples if sample.key not in held),
        tuple(sample for sample in samples if sample.key in held),
    )


def require_both(
    splits: dict[str, tuple[Sample, ...]],
    source: str,
    remedy: str = "Change test-fraction, or name other splits.",
) -> dict[str, tuple[Sample, ...]]:
    """Return the splits; raises a DataError where nothing is left to train on, or to test on."""
    for role in (TRAIN, TEST):
        if not splits[role]:
            counts = {name: len(samples) for name, samples in splits.items()}
            raise DataError(
                f"dataset='{source}' leaves nothing in the {role} split: {counts}. {remedy}"
            )
    return splits
