"""Which samples the models learn from, and which are kept for the figures in their card."""

from dataclasses import dataclass
from pathlib import Path

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import Dataset, Sample
from fedmvp_flwr.base.seeds import seed_for
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.sources.registry import load_dataset

HELD_OUT_SHARE = 0.1
MAX_HELD_OUT = 200
LEAST_PAIRS = 10


@dataclass(frozen=True)
class Pairs:
    """The complete samples of a split.

    Attributes:
        train: to learn from.
        held_out: for the figures.
        skipped: number of samples of the split that lack a modality.
        class_names: of the data set.
    """

    train: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    skipped: int
    class_names: tuple[str, ...]


def load_pairs(data: DataSettings, cache: Path, split: str, seed: int) -> Pairs:
    """Load a split of a data set and hold some complete samples of it out.

    Args:
        data: names the data set and its columns.
        cache: folder that keeps what is known of its images.
        split: name of the split; `a+b` joins two.
        seed: of the choice, which depends on it and on the samples' keys alone.

    Raises:
        DataError: no such split, or too few complete samples in it.
    """
    dataset, samples = _load_split(data, cache, split)
    pairs = [sample for sample in samples if sample.complete]
    if len(pairs) < LEAST_PAIRS:
        raise DataError(
            f"Split '{split}' of {data.dataset} holds {len(pairs)} samples with image and "
            f"text (and {len(samples) - len(pairs)} without one of them); models need "
            f"{LEAST_PAIRS} at the very least, and some thousands to be of use."
        )
    order = sorted(pairs, key=lambda sample: seed_for(seed, "pretrain-held-out", sample.key))
    count = min(MAX_HELD_OUT, max(1, round(HELD_OUT_SHARE * len(pairs))))
    kept = {sample.key for sample in order[:count]}
    return Pairs(
        tuple(sample for sample in pairs if sample.key not in kept),
        tuple(sample for sample in pairs if sample.key in kept),
        len(samples) - len(pairs),
        dataset.class_names,
    )


def _load_split(data: DataSettings, cache: Path, split: str) -> tuple[Dataset, list[Sample]]:
    names = split.split("+")
    try:
        dataset = load_dataset(data, cache)
    except DataError as error:
        # Public data may well have no split to train or to test on: take it for both.
        update = {"train_split": split, "test_split": ""}
        try:
            dataset = load_dataset(data.model_copy(update=update), cache)
        except DataError:
            raise error from None
        names = ["train", "test"]
    missing = [name for name in names if name not in dataset.splits]
    if missing:
        there = ", ".join(f"'{name}' ({len(s)})" for name, s in sorted(dataset.splits.items()))
        raise DataError(
            f"{data.dataset} has no split '{missing[0]}'; it has {there}. Name one "
            "with --split (a+b joins two). Models must not learn from what clients own or are "
            "tested on."
        )
    return dataset, [sample for name in names for sample in dataset.splits[name]]
