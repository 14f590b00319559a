"""A data set of the `datasets` library, from the hub or from a local folder.

The whole set is needed to deal it to clients and to draw its holes, so streaming is refused.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.entries import (
    Entry,
    LoadedDataset,
    as_label,
    build_dataset,
    named_classes,
    read_classes,
)
from fedmvp_flwr.data.findings import UNKNOWN_LABEL, Findings
from fedmvp_flwr.data.hf_images import image_root, table_images
from fedmvp_flwr.data.images import TableImage
from fedmvp_flwr.data.splits import TRAIN
from fedmvp_flwr.errors import DataError

IMAGE_COLUMN, TEXT_COLUMN, LABEL_COLUMN, SPLIT_COLUMN = "image", "text", "label", "split"
_HIDDEN = -1  # the label of a test set that keeps its labels to itself
_SAVED = ("dataset_dict.json", "state.json")  # what `save_to_disk` leaves


def load_hf(name: str, config: RunConfig) -> LoadedDataset:
    """Read `NAME`, `NAME@CONFIGURATION` or a local folder.

    A local folder is what `save_to_disk` wrote, or anything that `load_dataset` can read; no hub is
    asked for it.

    Args:
        name: what follows `hf:`.
        config: columns, splits, captions, and what to do with bad samples.

    Raises:
        DataError: it cannot be loaded, streams, or lacks a column; bad samples.
    """
    parts = _splits(name)
    findings = Findings(f"hf:{name}")
    entries: list[Entry] = []
    classes, root = read_classes(config), image_root(name)
    for split, table in sorted(parts.items()):
        _require_columns(table, split, config, findings.source)
        names = getattr(table.features[config.label_column or LABEL_COLUMN], "names", None)
        entries += _entries(table, split, len(parts) > 1, names, root, config, findings)
        classes = classes or (named_classes(names) if names else None)
    return build_dataset(entries, config, findings, classes)


def _splits(name: str) -> dict[str, Any]:
    """Load all splits."""
    import datasets

    if "?" in name:
        raise DataError(
            f"dataset='hf:{name}': no options are taken. Streaming is refused, because dealing "
            "the samples to clients and drawing their holes needs all keys and labels at once."
        )
    path = Path(name).expanduser()
    try:
        if path.is_dir() and any((path / file).is_file() for file in _SAVED):
            loaded = datasets.load_from_disk(str(path))
        elif path.exists():
            loaded = datasets.load_dataset(str(path))
        else:
            repository, _, configuration = name.partition("@")
            loaded = datasets.load_dataset(repository, configuration or None)
    except Exception as error:  # the library raises errors of many libraries
        raise DataError(
            f"dataset='hf:{name}' cannot be loaded ({type(error).__name__}: {error}). Give a "
            "name of the hub (NAME or NAME@CONFIGURATION; HF_HUB_OFFLINE must not be set, or it "
            "must be in the local cache), or the path of a folder."
        ) from error
    parts = {TRAIN: loaded} if isinstance(loaded, datasets.Dataset) else dict(loaded)
    if any(isinstance(table, datasets.IterableDataset) for table in parts.values()):
        raise DataError(f"dataset='hf:{name}' streams; save it with save_to_disk first.")
    return {str(split): table for split, table in parts.items()}


def _require_columns(table: Any, split: str, config: RunConfig, source: str) -> None:  # noqa: ANN401
    wanted = {
        "image-column": config.image_column or IMAGE_COLUMN,
        "text-column": config.text_column or TEXT_COLUMN,
        "label-column": config.label_column or LABEL_COLUMN,
        "split-column": config.split_column,
        "id-column": config.id_column,
        "partition": config.owner_column,
    }
    twice = [key for key, c in wanted.items() if c == wanted["image-column"]]
    if len(twice) > 1:
        raise DataError(f"dataset='{source}': {' and '.join(twice)} name the same column.")
    missing = [f"'{c}' ({key})" for key, c in wanted.items() if c and c not in table.column_names]
    if missing:
        raise DataError(
            f"dataset='{source}', split '{split}', has no column {', '.join(missing)}. It has "
            f"{sorted(table.column_names)}."
        )


def _entries(
    table: Any,  # noqa: ANN401 - a datasets.Dataset
    split: str,
    several: bool,
    names: Sequence[str] | None,
    root: Path,
    config: RunConfig,
    findings: Findings,
) -> list[Entry]:
    """Entries of one split; its name counts if there are several, else the split column does."""
    import datasets

    column = config.image_column or IMAGE_COLUMN
    if not isinstance(table.features[column], datasets.Image):
        raise DataError(
            f"dataset='{findings.source}': column '{column}' is {table.features[column]}, not "
            "an Image. Set image-column, or cast it with cast_column."
        )
    images, usable = table_images(table, column, split, root, config, findings)
    name = split if several else None
    entries = []
    for index, cells in enumerate(_without_images(table, config)):
        if not usable[index]:
            continue
        label = cells[config.label_column or LABEL_COLUMN]
        if names and isinstance(label, int):
            if not _HIDDEN <= label < len(names):
                what = f"{label}, expected a number from 0 to {len(names) - 1}"
                findings.add(UNKNOWN_LABEL, f"{split}:row {index}", what)
                continue
            label = None if label == _HIDDEN else names[label]
        entries.append(_entry(cells, index, label, images.get(index), name, config))
    return entries


def _without_images(table: Any, config: RunConfig) -> Any:  # noqa: ANN401 - datasets.Dataset
    """The columns that are used, so that the library decodes no others."""
    wanted = {
        config.text_column or TEXT_COLUMN,
        config.label_column or LABEL_COLUMN,
        config.split_column or SPLIT_COLUMN,
        config.id_column,
        config.owner_column,
    }
    return table.select_columns([name for name in table.column_names if name in wanted])


def _entry(
    cells: dict[str, Any],
    index: int,
    label: object,
    image: TableImage | None,
    split: str | None,
    config: RunConfig,
) -> Entry:
    key = as_label(cells.get(config.id_column)) if config.id_column else None
    return Entry(
        where=f"{split or TRAIN}:row {index}",
        key=key or f"{split or TRAIN}/{index}",
        label=as_label(label),
        image=image,
        texts=(cells[config.text_column or TEXT_COLUMN],),
        split=split or as_label(cells.get(config.split_column or SPLIT_COLUMN)),
        owner=as_label(cells[config.owner_column]) if config.owner_column else None,
    )
