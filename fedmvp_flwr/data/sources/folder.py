"""A folder of images with a metadata file, in the convention of Hugging Face's `imagefolder`.

`metadata.jsonl`, `.csv` or `.parquet` lies in the folder itself, or in one subfolder per split;
its `file_name` is relative to it. An empty cell is a hole.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.reading.cells import as_label, is_empty, printable
from fedmvp_flwr.data.reading.classes import named_classes
from fedmvp_flwr.data.reading.csv_text import Row
from fedmvp_flwr.data.reading.entries import LoadedDataset, build_dataset
from fedmvp_flwr.data.reading.files import find_images, require_folder, require_inside
from fedmvp_flwr.data.reading.findings import CLOSED_FOLDER, SPLIT_BY_FOLDER, Findings
from fedmvp_flwr.data.reading.splits import SPLIT_NAMES
from fedmvp_flwr.data.reading.tables import SUFFIXES, read_table, require_rows
from fedmvp_flwr.data.sources.columns import Columns, check_columns, columns_of

METADATA = "metadata"
_SHOWN = 80  # characters of a file name that is no text


def load_folder(
    path: str | Path,
    data: DataSettings,
    cache: Path,
    class_names: Sequence[str] | None = None,
) -> LoadedDataset:
    """Read one folder of images and texts.

    Args:
        path: the folder.
        data: columns, splits, captions, and what to do with bad samples.
        cache: folder that keeps what the checks of images found.
        class_names: the classes that the labels must be of, in their order (a node is told them by
            the server); None: those of `class-names-file`, or the labels that there are.

    Raises:
        DataError: the folder, its metadata or its samples cannot be used; names file and line.
    """
    root = require_folder(path)
    findings = Findings(f"folder:{path}", cache)
    columns = columns_of(data)
    rows: list[Row] = []
    places: list[tuple[str, str | None]] = []
    splits: list[str | None] = []
    for directory in _directories(root, findings):
        for row in _read(root, directory, columns, findings):
            rows.append(row)
            places.append((row.where, _file_name(row, directory, columns)))
            splits.append(as_label(row.cells.get(columns.split)) or printable(directory) or None)
    if not any(splits):
        splits = _splits_by_folder(places, data, findings)
    images = find_images(root, places, findings)
    entries = [
        columns.entry(row, _key(row, name, columns), image, split=split)
        for row, (_, name), split, (image, usable) in zip(rows, places, splits, images, strict=True)
        if usable
    ]
    if class_names is None:
        return build_dataset(entries, data, findings)
    told = data.model_copy(update={"class_names_file": ""})
    return build_dataset(entries, told, findings, named_classes(class_names))


def _directories(root: Path, findings: Findings) -> list[str]:
    """Folders relative to `root` that hold a metadata file: itself, or one for each split.

    A subfolder that may not be entered, as `lost+found` of a disk, has none; it is noted.
    """
    shown = printable(str(root))
    try:
        own = _metadata_files(root)
        folders = sorted(entry.name for entry in os.scandir(root) if _is_folder(entry))
    except OSError as error:
        raise DataError(
            f"'{shown}' cannot be read ({error.strerror or error}). Let the user who runs this "
            "read it and enter it."
        ) from error
    found: list[str] = []
    for name in folders:
        try:
            found += [name] if _metadata_files(root / name) else []
        except PermissionError:
            findings.note(f"{CLOSED_FOLDER}: '{name}'")
    if own and found:
        names = [printable(f"{name}/{_metadata_files(root / name)[0].name}") for name in found]
        raise DataError(
            f"'{shown}' has {own[0].name}, and also {', '.join(names)}. Keep the file that is for "
            "the whole folder, or those of the subfolders (one per split)."
        )
    if not own and not found:
        expected = ", ".join(METADATA + suffix for suffix in SUFFIXES)
        closed = "".join(f" Found: {note}." for note in findings.notes)
        raise DataError(
            f"'{shown}' has none of {expected}, nor has a subfolder of it (one per split). Write "
            f'a line per sample: {{"file_name": "a.jpg", "text": "...", "label": "..."}}.{closed}'
        )
    return found or [""]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to where nobody may look
        return False


def _metadata_files(folder: Path) -> list[Path]:
    """The metadata files in a folder; raises a PermissionError if it may not be entered."""
    paths = [folder / (METADATA + suffix) for suffix in SUFFIXES]
    return [path for path in paths if _is_file(path)]


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)  # Path.is_file hides some errors, not all
    except PermissionError:
        raise
    except OSError:
        return False


def _read(root: Path, directory: str, columns: Columns, findings: Findings) -> list[Row]:
    path, *others = _metadata_files(root / directory)
    name = printable(str(Path(directory, path.name)))
    if others:
        raise DataError(
            f"'{printable(str(root / directory))}' has {path.name} and {others[0].name}. Keep the "
            "one that counts."
        )
    table = read_table(require_inside(root, path), name, findings, columns.names)
    if table.rows or not findings.bad:  # else the lines that cannot be read say more
        check_columns(table.columns, columns, name, findings)
        require_rows(table, name, findings)
    return table.rows


def _file_name(row: Row, directory: str, columns: Columns) -> str | None:
    """Name of the image relative to the folder; `a.png`, `./a.png` and `.//a.png` are one."""
    value = row.cells.get(columns.image) if columns.image else None
    if is_empty(value):
        return None
    name = value.strip() if isinstance(value, str) else str(value)[:_SHOWN]
    return str(PurePosixPath(directory, name))


def _key(row: Row, name: str | None, columns: Columns) -> str:
    """Its id, else the image's name, else the place of the row."""
    key = as_label(row.cells.get(columns.id)) if columns.id else None
    return key or printable(name or "") or row.where


def _splits_by_folder(
    places: Sequence[tuple[str, str | None]], data: DataSettings, findings: Findings
) -> list[str | None]:
    """The split of each row by the folder of its image; None where no folders tell it.

    The layout of Hugging Face's `imagefolder`: one metadata file, and images in `train/`, `test/`.
    Folders tell it if there are at least two that are named as splits, also by the settings. Then
    every row must have its image in one of them.
    """
    settings = (data.train_split, data.test_split, data.public_split)
    known = SPLIT_NAMES | {name for setting in settings for name in setting.split("+") if name}
    parts = [PurePosixPath(name or "").parts for _, name in places]
    heads = [part[0] if len(part) > 1 and part[0] in known else None for part in parts]
    there = {head for head in heads if head}
    if len(there) < 2:
        return [None] * len(heads)
    without = [where for (where, _), head in zip(places, heads, strict=True) if not head]
    if without:
        raise DataError(
            f"dataset='{findings.source}' has no column of splits. The images lie in folders "
            f"named as splits ({', '.join(sorted(there))}), but {len(without)} rows have no image "
            f"in one of them, the first is {without[0]}. Write a column 'split' in every row."
        )
    for _ in heads:
        findings.note(SPLIT_BY_FOLDER)
    return list(heads)
