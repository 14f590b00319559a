"""From the run-config key `dataset` to a data set. A new source is one line here."""

import importlib
from collections.abc import Callable
from functools import lru_cache

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.nearest import did_you_mean
from fedmvp_flwr.base.samples import Dataset, Sample
from fedmvp_flwr.config import RunConfig


def load_dataset(config: RunConfig) -> Dataset:
    """Return the data set that the configuration names.

    Raises:
        DataError: no such source, with the nearest known name.
    """
    name = config.data.dataset.partition(":")[0]
    if name not in _SOURCES:
        near = did_you_mean(name, _SOURCES)
        raise DataError(f"dataset='{config.data.dataset}' is none of {sorted(_SOURCES)}{near}.")
    return _SOURCES[name](config)


def _flora(config: RunConfig) -> Dataset:
    from fedmvp_flwr.data.reading.column_settings import refuse_none

    refuse_none(config, config.data.dataset)
    # The data set itself never changes with the seed of a run: only its use does. `flora:N` is
    # another set of the same species, for tuning without a look at the test split of `flora`.
    seed = config.data.dataset.partition(":")[2] or "0"
    if not seed.isdecimal():
        raise DataError(f"dataset='{config.data.dataset}': expected flora or flora:NUMBER.")
    return _flora_of(
        int(seed),
        config.data.train_samples,
        config.data.test_samples,
        config.data.validation_samples,
    )


@lru_cache(maxsize=1)
def _flora_of(seed: int, num_train: int, num_test: int, num_val: int) -> Dataset:
    from fedmvp_flwr.data.sources.flora import load_flora

    return load_flora(seed, num_train, num_test, num_val)


def _nodes(config: RunConfig) -> Dataset:
    """The server's view where every node has its own folder: class names, and no sample."""
    from fedmvp_flwr.data.reading.entries import LoadedDataset, read_classes
    from fedmvp_flwr.data.reading.findings import Findings

    classes = read_classes(config)
    if classes is None:
        raise DataError(
            "dataset='nodes' means that the nodes have the data: the server needs to be told the "
            "class names. Set class-names-file (one name a line, in the order of the labels; a "
            "description after a tab makes a better probe)."
        )
    splits: dict[str, tuple[Sample, ...]] = {"train": (), "test": ()}
    return LoadedDataset(classes.names, classes.descriptions, splits, Findings("nodes"))


def location(config: RunConfig) -> str:
    """What follows the source's name in `dataset`.

    Raises:
        DataError: nothing does.
    """
    name, _, place = config.data.dataset.partition(":")
    if not place:
        raise DataError(f"dataset='{config.data.dataset}': expected {name}:PATH.")
    return place


@lru_cache(maxsize=1)  # a simulation's actor serves many messages of one run
def _located(config: RunConfig) -> Dataset:
    # The module is named as the source, its function load_SOURCE(path, config).
    name = config.data.dataset.partition(":")[0]
    module = importlib.import_module(f"fedmvp_flwr.data.sources.{name}")
    load: Callable[[str, RunConfig], Dataset] = getattr(module, f"load_{name}")
    return load(location(config), config)


_LOCATED = ("coco", "cub", "fashion", "flickr30k", "flowers", "folder", "hf")
_SOURCES: dict[str, Callable[[RunConfig], Dataset]] = {
    "flora": _flora,
    "nodes": _nodes,
    **dict.fromkeys(_LOCATED, _located),
}
