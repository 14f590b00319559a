"""Captions in a CSV file, one or several rows per image, in the manner of Flickr30k."""

import os
from pathlib import Path, PurePosixPath

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.reading.column_settings import refuse_columns
from fedmvp_flwr.data.reading.columns import NONE
from fedmvp_flwr.data.reading.entries import (
    Entry,
    LoadedDataset,
    as_label,
    build_dataset,
    printable,
)
from fedmvp_flwr.data.reading.files import find_images, require_folder, require_inside
from fedmvp_flwr.data.reading.findings import CONTRADICTION, NO_IMAGE_NAME, Findings
from fedmvp_flwr.data.reading.tables import Row, Table, is_empty, read_csv, require_columns

_IMAGE_COLUMNS = ("image_name", "filename", "image", "file_name")
_TEXT_COLUMNS = ("comment", "caption", "raw", "text")
LABEL_COLUMN, SPLIT_COLUMN = "label", "split"
_USED = ("image-column", "text-column", "label-column", "split-column", "partition")
_IMAGE_FOLDERS = ("flickr30k_images", "flickr30k-images", "images", "Images")


def load_flickr30k(path: str, config: RunConfig) -> LoadedDataset:
    """Read one CSV file (or the only one of a folder) and the images beside it.

    Columns are separated by commas, or by bars as in `results.csv`; rows of one image are its
    captions, and `a.jpg` and `./a.jpg` are one. A column with the label is needed, which Flickr30k
    itself does not have. `text-column='none'` reads no caption.

    Args:
        path: the CSV file or its folder.
        config: columns, splits, captions, and what to do with bad samples.

    Raises:
        DataError: a file or a column is missing; bad samples; names file and line.
    """
    findings = Findings(f"flickr30k:{path}")
    refuse_columns(config, findings.source, _USED, ("text-column",))
    file = _csv_file(path)
    root = require_folder(file.parent)
    try:
        with file.open("rb") as stream:
            bars = b"|" in stream.readline()
    except OSError as error:
        raise DataError(f"'{file}' cannot be read ({error.strerror or error}).") from error
    rows = read_csv(file, file.name, findings, delimiter="|" if bars else ",")
    columns = _Columns(rows, file.name, config, findings)
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        name = row.cells.get(columns.image)
        if is_empty(name):
            findings.add(NO_IMAGE_NAME, row.where)
        else:
            grouped.setdefault(str(PurePosixPath(str(name).strip())), []).append(row)
    folder = next((f"{name}/" for name in _IMAGE_FOLDERS if (root / name).is_dir()), "")
    places = [(rows[0].where, folder + name) for name, rows in grouped.items()]
    images = find_images(root, places, config, findings)
    entries = []
    for (name, own), (image, usable) in zip(grouped.items(), images, strict=True):
        if usable and _agree(own, columns, name, findings):
            first = own[0].cells
            entries.append(
                Entry(
                    where=own[0].where,
                    key=printable(name),
                    label=as_label(first[columns.label]),
                    image=image,
                    texts=tuple(row.cells.get(columns.text) for row in own if columns.text),
                    split=as_label(first.get(columns.split)),
                    owner=as_label(first.get(columns.owner)),
                )
            )
    return build_dataset(entries, config, findings)


class _Columns:
    """Which column is which."""

    def __init__(self, rows: Table, name: str, config: RunConfig, findings: Findings) -> None:
        there = rows.columns
        self.image = config.data.image_column or next(
            (c for c in _IMAGE_COLUMNS if c in there), "image"
        )
        text = config.data.text_column or next((c for c in _TEXT_COLUMNS if c in there), "caption")
        self.text = None if text == NONE else text
        self.label = config.data.label_column or LABEL_COLUMN
        self.split = config.data.split_column or SPLIT_COLUMN
        self.owner = config.data.owner_column
        wanted = {
            "image-column": self.image,
            "text-column": self.text,
            "label-column": self.label,
            "split-column": config.data.split_column,
            "partition": self.owner,
        }
        named = {key: column for key, column in wanted.items() if column}
        require_columns(rows, named, name, findings)


def _agree(rows: list[Row], columns: _Columns, name: str, findings: Findings) -> bool:
    """Whether all rows of an image name the same label, split and owner."""
    for column in (columns.label, columns.split, columns.owner):
        values = {as_label(row.cells.get(column)) for row in rows}
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
