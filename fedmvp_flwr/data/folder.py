"""A folder of images with a metadata file, in the convention of Hugging Face's `imagefolder`.

`metadata.jsonl`, `.csv` or `.parquet` lies in the folder itself, or in one subfolder per split;
its `file_name` is relative to it. An empty cell is a hole.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.entries import (
    Entry,
    LoadedDataset,
    as_label,
    build_dataset,
    named_classes,
)
from fedmvp_flwr.data.files import find_images, require_folder
from fedmvp_flwr.data.findings import Findings
from fedmvp_flwr.data.tables import SUFFIXES, Row, is_empty, read_table, require_columns
from fedmvp_flwr.errors import DataError

METADATA = "metadata"
IMAGE_COLUMN, TEXT_COLUMN, LABEL_COLUMN, SPLIT_COLUMN = "file_name", "text", "label", "split"


def load_folder(
    path: str | Path, config: RunConfig, class_names: Sequence[str] | None = None
) -> LoadedDataset:
    """Read one folder of images and texts.

    Args:
        path: the folder.
        config: columns, splits, captions, and what to do with bad samples.
        class_names: the classes that the labels must be of, in their order (a node is told them by
            the server); None: those of `class-names-file`, or the labels that there are.

    Raises:
        DataError: the folder, its metadata or its samples cannot be used; names file and line.
    """
    root = require_folder(path)
    findings = Findings(f"folder:{path}")
    rows = [
        (row, directory, split)
        for directory, split in _tables(root)
        for row in _read(root, directory, config, findings)
    ]
    images = find_images(
        root,
        [(row.where, _file_name(row, directory, config)) for row, directory, _ in rows],
        config,
        findings,
    )
    owner = config.owner_column
    entries = [
        Entry(
            where=row.where,
            key=_key(row, directory, config),
            label=as_label(row.cells.get(config.label_column or LABEL_COLUMN)),
            image=image,
            texts=(row.cells.get(config.text_column or TEXT_COLUMN),),
            split=as_label(row.cells.get(config.split_column or SPLIT_COLUMN)) or split,
            owner=as_label(row.cells.get(owner)) if owner else None,
        )
        for (row, directory, split), (image, usable) in zip(rows, images, strict=True)
        if usable
    ]
    classes = named_classes(class_names) if class_names is not None else None
    return build_dataset(entries, config, findings, classes)


def _tables(root: Path) -> list[tuple[str, str | None]]:
    """Folders relative to `root` that hold a metadata file, each with the split it stands for."""
    if _metadata_files(root):
        return [("", None)]
    folders = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    found_in: list[tuple[str, str | None]] = [
        (name, name) for name in folders if _metadata_files(root / name)
    ]
    if not found_in:
        expected = ", ".join(METADATA + suffix for suffix in SUFFIXES)
        raise DataError(
            f"'{root}' has none of {expected}, nor has a subfolder of it (one per split). Write "
            'a line per sample: {"file_name": "a.jpg", "text": "...", "label": "..."}.'
        )
    return found_in


def _metadata_files(folder: Path) -> list[Path]:
    paths = [folder / (METADATA + suffix) for suffix in SUFFIXES]
    return [path for path in paths if path.is_file()]


def _read(root: Path, directory: str, config: RunConfig, findings: Findings) -> list[Row]:
    path, *others = _metadata_files(root / directory)
    name = str(Path(directory, path.name))
    if others:
        raise DataError(
            f"'{root / directory}' has {path.name} and {others[0].name}. Keep the one that counts."
        )
    rows = read_table(path, name, findings)
    wanted = {"label-column": config.label_column or LABEL_COLUMN}
    optional = {"image-column": config.image_column, "text-column": config.text_column}
    optional |= {"split-column": config.split_column, "id-column": config.id_column}
    owner = config.owner_column
    wanted |= {key: column for key, column in optional.items() if column}
    require_columns(rows, wanted | ({"partition": owner} if owner else {}), name)
    return rows


def _file_name(row: Row, directory: str, config: RunConfig) -> str | None:
    value = row.cells.get(config.image_column or IMAGE_COLUMN)
    return None if is_empty(value) else os.path.join(directory, str(value).strip())


def _key(row: Row, directory: str, config: RunConfig) -> str:
    if config.id_column:
        return as_label(row.cells.get(config.id_column)) or row.where
    return as_label(_file_name(row, directory, config)) or row.where
