"""From the run-config key `dataset` to a data set. A new source is one file and a line here."""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.choices import Value, choose, number, text
from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import TRAIN, Dataset
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.sources.columns import COLUMN_KEYS, refuse_columns


@dataclass(frozen=True)
class Source:
    """Where samples come from.

    Attributes:
        load: "module:function", imported when it is needed: (value, settings, cache folder) ->
            data set. The settings choose columns, splits and captions, and say what to do with bad
            samples; the cache folder keeps what the checks of images found. Raises a DataError that
            names file and line.
        value: what follows the name.
        columns: the settings that name columns which it reads, of `COLUMN_KEYS`; None: they are
            left to nodes that have folders of their own.
        optional: those of them that may be 'none': there are no images, or no texts.
        at_nodes: whether every node has its own data, and the server none.
    """

    load: str
    value: Value | None = None
    columns: tuple[str, ...] | None = ()
    optional: tuple[str, ...] = ()
    at_nodes: bool = False


_HERE = "fedmvp_flwr.data.sources"
_PATH = Value("a path", text)
_IMAGES, _TEXTS, _LABELS, _SPLITS, _IDS, _OWNERS = COLUMN_KEYS

SOURCES: dict[str, Source] = {
    "coco": Source(f"{_HERE}.coco:load_coco", _PATH),
    "cub": Source(f"{_HERE}.cub:load_cub", _PATH),
    "fashion": Source(
        f"{_HERE}.fashion:load_fashion", _PATH, (_TEXTS, _LABELS, _SPLITS, _OWNERS), (_TEXTS,)
    ),
    "flickr30k": Source(
        f"{_HERE}.flickr30k:load_flickr30k",
        _PATH,
        (_IMAGES, _TEXTS, _LABELS, _SPLITS, _OWNERS),
        (_TEXTS,),
    ),
    "flora": Source(f"{_HERE}.flora:flora_of", Value("a whole number", number(int, 0), 0), None),
    "flowers": Source(f"{_HERE}.flowers:load_flowers", _PATH),
    "folder": Source(f"{_HERE}.folder:load_folder", _PATH, COLUMN_KEYS, (_IMAGES, _TEXTS)),
    "hf": Source(
        f"{_HERE}.hf:load_hf", Value("a name or path", text), COLUMN_KEYS, (_IMAGES, _TEXTS)
    ),
    "nodes": Source(f"{_HERE}.nodes:load_nodes", None, None, (_IMAGES, _TEXTS), at_nodes=True),
}


def source_of(dataset: str) -> tuple[Source, Any]:
    """The source that the setting `dataset` names, and what follows the name.

    Raises:
        ConfigError: there is no such source.
    """
    return choose("dataset", dataset, SOURCES)


@lru_cache(maxsize=1)  # a simulation's actor serves many messages of one run
def load_dataset(data: DataSettings, cache: Path) -> Dataset:
    """Return the data set that the settings name.

    Args:
        data: names it, its columns and splits, and says what to do with bad samples.
        cache: folder that keeps what was found, so that no image is looked at twice.

    Raises:
        ConfigError: there is no such source.
        DataError: it cannot be used, or all its training samples are of one class.
    """
    source, value = source_of(data.dataset)
    refuse_columns(data, source.columns, source.optional)
    load: Callable[[Any, DataSettings, Path], Dataset] = pkgutil.resolve_name(source.load)
    dataset = load(value, data, cache)
    there = {sample.label for sample in dataset.splits[TRAIN]}
    if len(there) == 1:
        raise DataError(
            f"dataset='{data.dataset}': every training sample is of the class "
            f"'{dataset.class_names[there.pop()]}', so that there is nothing to tell apart. Check "
            "where the labels come from (label-column, the folders, COCO's categories)."
        )
    return dataset
