"""Captions in a CSV file, one or several rows per image, in the manner of Flickr30k."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.reading.cells import as_label, is_empty, printable
from fedmvp_flwr.data.reading.csv_text import Row, Table
from fedmvp_flwr.data.reading.entries import LoadedDataset, build_dataset
from fedmvp_flwr.data.reading.files import find_images, require_folder, require_inside
from fedmvp_flwr.data.reading.findings import CONTRADICTION, NO_IMAGE_NAME, Findings
from fedmvp_flwr.data.reading.tables import read_csv, require_columns, require_rows
from fedmvp_flwr.data.sources.columns import Columns, columns_of

_IMAGE_COLUMNS = ("image_name", "filename", "image", "file_name")
_TEXT_COLUMNS = ("comment", "caption", "raw", "text")
_IMAGE_FOLDERS = ("flickr30k_images", "flickr30k-images", "images", "Images")


def load_flickr30k(path: str, data: DataSettings, cache: Path) -> LoadedDataset:
    """Read one CSV file (or the only one of a folder) and the images beside it.

    Columns are separated by commas, or by bars as in `results.csv`; rows of one image are its
    captions, and `a.jpg` and `./a.jpg` are one. A column with the label is needed, which Flickr30k
    itself does not have. `text-column='none'` reads no caption.

    Raises:
        DataError: a file or a column is missing; bad samples; names file and line.
    """
    findings = Findings(f"flickr30k:{path}", cache)
    file = _csv_file(path)
    root = require_folder(file.parent)
    try:
        with file.open("rb") as stream:
            bars = b"|" in stream.readline()
    except OSError as error:
        raise DataError(f"'{file}' cannot be read ({error.strerror or error}).") from error
    table = read_csv(file, file.name, findings, delimiter="|" if bars else ",")
    columns = columns_of(
        data, _first(_IMAGE_COLUMNS, table, "image"), _first(_TEXT_COLUMNS, table, "caption")
    )
    chosen = {"image-column": columns.image, "text-column": columns.text}
    required = {key: c for key, c in chosen.items() if c} | dict(columns.required)
    require_columns(table.columns, required, file.name)
    require_rows(table, file.name, findings)
    grouped: dict[str, list[Row]] = {}
    for row in table.rows:
        name = row.cells.get(columns.image or "")
        if is_empty(name):
            findings.add(NO_IMAGE_NAME, row.where)
        else:
            grouped.setdefault(str(PurePosixPath(str(name).strip())), []).append(row)
    folder = next((f"{name}/" for name in _IMAGE_FOLDERS if (root / name).is_dir()), "")
    places = [(rows[0].where, folder + name) for name, rows in grouped.items()]
    images = find_images(root, places, findings)
    entries = []
    for (name, own), (image, usable) in zip(grouped.items(), images, strict=True):
        if usable and _agree(own, columns, name, findings):
            texts = tuple(row.cells.get(columns.text) for row in own if columns.text)
            entries.append(columns.entry(own[0], printable(name), image, texts=texts))
    return build_dataset(entries, data, findings)


def _first(names: Sequence[str], table: Table, other: str) -> str:
    """The first of the names that is a column."""
    return next((name for name in names if name in table.columns), other)


def _agree(rows: list[Row], columns: Columns, name: str, findings: Findings) -> bool:
    """Whether all rows of an image name the same label, split and owner."""
    for column in (columns.label, columns.split, columns.owner):
        values = {as_label(row.cells.get(column or "")) for row in rows}
        if len(values) > 1:
            listed = ", ".join(sorted(map(str, values)))
            findings.add(CONTRADICTION, rows[0].where, f"'{printable(name)}' has {column} {listed}")
            return False
    return True


def _csv_file(path: str) -> Path:
    place = expanded(path)
    if os.path.isfile(place):  # also says no to a name that is too long
        return place.resolve()
    root = require_folder(path)
    files = sorted(root.glob("*.csv"))
    if len(files) != 1:
        names = [file.name for file in files]
        raise DataError(
            f"'{path}' has {names or 'no CSV file'}, expected one. Give the file itself: "
            "dataset='flickr30k:/path/to/the/file.csv'."
        )
    return require_inside(root, files[0])
