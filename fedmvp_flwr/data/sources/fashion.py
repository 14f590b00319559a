"""The Fashion Product Images data set: images/ID.jpg with styles.csv and styles/ID.json."""

import html
import json
import re
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import DataError
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
from fedmvp_flwr.data.reading.files import find_images, read_own, require_folder, require_inside
from fedmvp_flwr.data.reading.findings import BROKEN_LINE, Findings
from fedmvp_flwr.data.reading.tables import Row, Table, read_csv, require_columns

STYLES = "styles.csv"
LABEL_COLUMN, TITLE_COLUMN, DESCRIPTION = "articleType", "productDisplayName", "description"
SPLIT_COLUMN = "split"
_USED = ("text-column", "label-column", "split-column", "partition")
_TAG = re.compile(r"<[^<>]*>")


def load_fashion(path: str, config: RunConfig) -> LoadedDataset:
    """Read the products of `styles.csv`, or of `styles/ID.json` where there is no table.

    The text is the description of `styles/ID.json` without its HTML tags, or the product's name
    where there is none; `text-column` chooses another field, and 'none' reads no text. The label
    is `articleType`. `mask-class-words` keeps the class out of the texts.

    Args:
        path: the folder.
        config: columns, splits, captions, and what to do with bad samples.

    Raises:
        DataError: the folder holds no such data; bad samples; names file and line.
    """
    findings = Findings(f"fashion:{path}")
    refuse_columns(config, findings.source, _USED, ("text-column",))
    root = require_folder(path)
    rows = _rows(root, findings)
    label = config.data.label_column or LABEL_COLUMN
    wanted = {
        "id": "id",
        "label-column": label,
        "split-column": config.data.split_column,
        "partition": config.data.owner_column,
    }
    if config.data.text_column not in ("", DESCRIPTION, NONE):
        wanted["text-column"] = config.data.text_column
    named = {key: column for key, column in wanted.items() if column}
    require_columns(rows, named, STYLES, findings)
    places = [(row.where, f"images/{str(row.cells['id']).strip()}.jpg") for row in rows]
    return build_dataset(
        [
            Entry(
                where=row.where,
                key=printable(str(row.cells["id"]).strip()),
                label=as_label(row.cells.get(label)),
                image=image,
                texts=texts,
                split=as_label(row.cells.get(config.data.split_column or SPLIT_COLUMN)),
                owner=as_label(row.cells.get(config.data.owner_column)),
            )
            for row, (image, usable) in zip(
                rows, find_images(root, places, config, findings), strict=True
            )
            if usable and (texts := _texts(root, row, config, findings)) is not None
        ],
        config,
        findings,
    )


def plain_text(markup: str) -> str:
    """The text of a piece of HTML, in one line."""
    return " ".join(html.unescape(_TAG.sub(" ", markup)).split())


def _rows(root: Path, findings: Findings) -> Table:
    if (root / STYLES).is_file():
        # The names of some products have commas that nobody put in quotes.
        table = require_inside(root, root / STYLES)
        return read_csv(table, STYLES, findings, free_text=TITLE_COLUMN)
    files = sorted((root / "styles").glob("*.json"))
    if not files:
        raise DataError(f"'{root}' has neither {STYLES} nor styles/ID.json.")
    rows = Table()
    for file in files:
        product = _product(root, file.stem, findings)
        if product is not None:
            cells = {key: _name_of(value) for key, value in product.items()}
            rows.append(Row(f"styles/{file.name}", {**cells, "id": file.stem}))
    return rows


def _texts(
    root: Path, row: Row, config: RunConfig, findings: Findings
) -> tuple[object, ...] | None:
    """The text of a product, if there is to be one; None if its JSON file is a finding."""
    if config.data.text_column == NONE:
        return ()
    if config.data.text_column not in ("", DESCRIPTION):
        return (row.cells.get(config.data.text_column),)
    number = str(row.cells["id"]).strip()
    described = ""
    if _has_file(root, number):
        product = _product(root, number, findings)
        if product is None:
            return None
        descriptors = product.get("productDescriptors")
        found = descriptors.get(DESCRIPTION) if isinstance(descriptors, dict) else None
        value = found.get("value") if isinstance(found, dict) else None
        described = plain_text(value) if isinstance(value, str) else ""
    return (described or row.cells.get(TITLE_COLUMN),)


def _has_file(root: Path, number: str) -> bool:
    """Whether there is a file of that product, be it one that cannot be read."""
    if not number or "/" in number or "\0" in number:
        return False  # not the name of a file in this folder
    try:
        return (root / "styles" / f"{number}.json").exists()
    except OSError:
        return True


def _product(root: Path, number: str, findings: Findings) -> dict[str, Any] | None:
    """What is known of a product; None, and a finding, if its file cannot be read."""
    where = f"styles/{number}.json"
    content = read_own(root, root / where, where, findings)
    if content is None:
        return None
    try:
        product = json.loads(content)["data"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        findings.add(BROKEN_LINE, where, f"no JSON with 'data' ({error})")
        return None
    if not isinstance(product, dict):
        findings.add(BROKEN_LINE, where, "'data' is no object")
        return None
    return product


def _name_of(value: object) -> object:
    """A field's value; of a nested type its name."""
    return value.get("typeName") if isinstance(value, dict) else value
