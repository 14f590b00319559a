"""A data set of the `datasets` library, from the hub or from a local folder.

The whole set is needed to deal it to clients and to draw its holes, so streaming is refused.
"""

from collections.abc import Iterator, Sequence
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
from fedmvp_flwr.data.findings import MISSING_FILE, OUTSIDE, Findings
from fedmvp_flwr.data.image_checks import check_contents
from fedmvp_flwr.data.images import TableImage
from fedmvp_flwr.data.splits import TRAIN
from fedmvp_flwr.errors import DataError
from fedmvp_flwr.node import cache_folder

IMAGE_COLUMN, TEXT_COLUMN, LABEL_COLUMN, SPLIT_COLUMN = "image", "text", "label", "split"
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
    classes, root = read_classes(config), _root(name)
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

    column, fingerprint = config.image_column or IMAGE_COLUMN, table._fingerprint
    if not isinstance(table.features[column], datasets.Image):
        raise DataError(
            f"dataset='{findings.source}': column '{column}' is {table.features[column]}, not "
            "an Image. Set image-column, or cast it with cast_column."
        )
    if table._indices is not None:  # a selection: its Arrow table holds more rows than it shows
        table = table.flatten_indices()
    encoded = table.select_columns([column]).cast_column(column, datasets.Image(decode=False))
    usable, rows = [], []
    for index, (there, path) in enumerate(_stored(encoded, column)):
        where = f"{split}:row {index}"
        usable.append(path is None or _is_allowed(path, root, where, findings))
        if there and usable[-1]:
            rows.append(index)
    checks = check_contents(
        [f"{fingerprint}|{index}" for index in rows],
        lambda position: _bytes_of(encoded, rows[position], column),
        cache_folder(config),
        findings.source,
    )
    images = {
        index: TableImage(
            lambda index=index: _bytes_of(encoded, index, column),  # type: ignore[misc]
            f"{split}:row {index}",
            check,
        )
        for index, check in zip(rows, checks, strict=True)
    }
    return [
        _entry(cells, index, images.get(index), split if several else None, names, config)
        for index, cells in enumerate(table.remove_columns([column]))
        if usable[index]
    ]


def _entry(
    cells: dict[str, Any],
    index: int,
    image: TableImage | None,
    split: str | None,
    names: Sequence[str] | None,
    config: RunConfig,
) -> Entry:
    label = cells[config.label_column or LABEL_COLUMN]
    if names and isinstance(label, int):
        label = names[label] if label >= 0 else None  # -1: a test set that hides its labels
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


def _stored(table: Any, column: str) -> Iterator[tuple[bool, str | None]]:  # noqa: ANN401
    """For each row whether it has an image, and the image's path where the bytes are not here."""
    for chunk in table.data.column(column).chunks:  # Arrow tells without reading the images
        fields = dict(zip((field.name for field in chunk.type), chunk.flatten(), strict=True))
        inside = fields["bytes"].is_valid().to_pylist()
        paths = fields["path"].to_pylist()
        for there, has_bytes, path in zip(chunk.is_valid().to_pylist(), inside, paths, strict=True):
            yield there, None if has_bytes or not there else str(path)


def _is_allowed(path: str, root: Path, where: str, findings: Findings) -> bool:
    place = Path(path)
    if not place.resolve().is_relative_to(root):
        findings.add(OUTSIDE, where, f"'{path}'")
    elif not place.is_file():
        findings.add(MISSING_FILE, where, f"'{path}'")
    else:
        return True
    return False


def _root(name: str) -> Path:
    """The folder that image files may lie in: the data set's own, or the cache of the hub."""
    from datasets import config

    path = Path(name).expanduser()
    return (path if path.exists() else Path(config.HF_CACHE_HOME)).resolve()


def _bytes_of(table: Any, index: int, column: str) -> bytes:  # noqa: ANN401
    cell = table[index][column]
    if cell["bytes"] is not None:
        return bytes(cell["bytes"])
    return Path(cell["path"]).read_bytes()
