"""A data set of the `datasets` library, from the hub or from a local folder.

The whole set is needed to deal it to clients and to draw its holes, so streaming is refused.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.base.samples import TRAIN
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.reading.cells import as_label
from fedmvp_flwr.data.reading.classes import Classes, named_classes
from fedmvp_flwr.data.reading.csv_text import Row
from fedmvp_flwr.data.reading.entries import Entry, LoadedDataset, build_dataset
from fedmvp_flwr.data.reading.findings import UNKNOWN_LABEL, Findings
from fedmvp_flwr.data.sources.columns import Columns, check_columns, columns_of
from fedmvp_flwr.data.sources.hf_images import image_root, table_images

_IMAGE_COLUMN = "image"
_HIDDEN = -1  # the label of a test set that keeps its labels to itself
_SAVED = ("dataset_dict.json", "state.json")  # what `save_to_disk` leaves


def load_hf(name: str, data: DataSettings, cache: Path) -> LoadedDataset:
    """Read `NAME`, `NAME@CONFIGURATION` or a local folder.

    A local folder is what `save_to_disk` wrote, or anything that `load_dataset` can read; no hub is
    asked for it.

    Raises:
        DataError: it cannot be loaded, streams, or lacks a column; bad samples.
    """
    columns = columns_of(data, _IMAGE_COLUMN)
    parts = _splits(name)
    findings = Findings(f"hf:{name}", cache)
    entries: list[Entry] = []
    classes: Classes | None = None
    root = image_root(name)
    for split, table in sorted(parts.items()):
        check_columns(table.column_names, columns, f"split '{split}'", findings)
        findings.refuse_if("refuse")
        names = getattr(table.features[columns.label], "names", None)  # of a ClassLabel
        entries += _entries(table, split, len(parts) > 1, columns, names, root, findings)
        classes = classes or (named_classes(names) if names else None)
    return build_dataset(entries, data, findings, classes)


def _splits(name: str) -> dict[str, Any]:
    """Load all splits."""
    import datasets

    if "?" in name:
        raise DataError(
            f"dataset='hf:{name}': no options are taken. Streaming is refused, because dealing "
            "the samples to clients and drawing their holes needs all keys and labels at once."
        )
    path = expanded(name)
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


def _entries(
    table: Any,  # noqa: ANN401 - a datasets.Dataset
    split: str,
    several: bool,
    columns: Columns,
    names: Sequence[str] | None,
    root: Path,
    findings: Findings,
) -> list[Entry]:
    """Entries of one split; its name counts if there are several, else the split column does."""
    images, usable = table_images(table, columns.image, split, root, findings)
    name = split if several else None
    # Without the images, so that the library decodes none.
    texts = [c for c in table.column_names if c in columns.names and c != columns.image]
    entries = []
    for index, cells in enumerate(table.select_columns(texts)):
        if not usable[index]:
            continue
        label = cells[columns.label]
        if names and isinstance(label, int):
            if not _HIDDEN <= label < len(names):
                what = f"{label}, expected a number from 0 to {len(names) - 1}"
                findings.add(UNKNOWN_LABEL, f"{split}:row {index}", what)
                continue
            label = None if label == _HIDDEN else names[label]
        row = Row(f"{name or TRAIN}:row {index}", cells)
        key = as_label(cells.get(columns.id)) if columns.id else None
        own = {"label": as_label(label)} | ({"split": name} if name else {})
        key = key or f"{name or TRAIN}/{index}"
        entries.append(columns.entry(row, key, images.get(index), **own))
    return entries
