"""The Fashion Product Images data set: images/ID.jpg with styles.csv and styles/ID.json."""

import html
import json
import os
import re
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.reading.cells import printable
from fedmvp_flwr.data.reading.csv_text import Row, Table
from fedmvp_flwr.data.reading.entries import LoadedDataset, build_dataset
from fedmvp_flwr.data.reading.files import find_images, read_own, require_folder, require_inside
from fedmvp_flwr.data.reading.findings import BROKEN_LINE, Findings
from fedmvp_flwr.data.reading.tables import read_csv, require_columns, require_rows
from fedmvp_flwr.data.sources.columns import columns_of

STYLES = "styles.csv"
LABEL_COLUMN, TITLE_COLUMN, DESCRIPTION = "articleType", "productDisplayName", "description"
_TAG = re.compile(r"<[^<>]*>")


def load_fashion(path: str, data: DataSettings, cache: Path) -> LoadedDataset:
    """Read the products of `styles.csv`, or of `styles/ID.json` where there is no table.

    The text is the description of `styles/ID.json` without its HTML tags, or the product's name
    where there is none; `text-column` chooses another field, and 'none' reads no text. The label
    is `articleType`. `mask-class-words` keeps the class out of the texts.

    Raises:
        DataError: the folder holds no such data; bad samples; names file and line.
    """
    findings = Findings(f"fashion:{path}", cache)
    root = require_folder(path)
    table = _products(root, findings)
    columns = columns_of(data, text=DESCRIPTION, label=LABEL_COLUMN)
    required = {"id": "id", **columns.required}
    if columns.text == DESCRIPTION:  # in the files of the products
        required.pop("text-column", None)
    require_columns(table.columns, required, STYLES)
    require_rows(table, STYLES, findings)
    ids = [str(row.cells["id"]).strip() for row in table.rows]
    places = [(row.where, f"images/{name}.jpg") for row, name in zip(table.rows, ids, strict=True)]
    images = find_images(root, places, findings)
    reads = columns.text == DESCRIPTION and (root / "styles").is_dir()
    described = set(os.listdir(root / "styles")) if reads else set()
    entries = []
    for row, name, (image, usable) in zip(table.rows, ids, images, strict=True):
        own = {}
        if columns.text == DESCRIPTION:
            product = _product(root, name, findings) if f"{name}.json" in described else {}
            usable = usable and product is not None
            own["texts"] = (_description(product) or row.cells.get(TITLE_COLUMN),)
        if usable:
            entries.append(columns.entry(row, printable(name), image, **own))
    return build_dataset(entries, data, findings)


def plain_text(markup: str) -> str:
    """The text of a piece of HTML, in one line."""
    return " ".join(html.unescape(_TAG.sub(" ", markup)).split())


def _products(root: Path, findings: Findings) -> Table:
    if (root / STYLES).is_file():
        # The names of some products have commas that nobody put in quotes.
        path = require_inside(root, root / STYLES)
        return read_csv(path, STYLES, findings, free_text=TITLE_COLUMN)
    files = sorted((root / "styles").glob("*.json"))
    if not files:
        raise DataError(f"'{root}' has neither {STYLES} nor styles/ID.json.")
    table = Table()
    for file in files:
        product = _product(root, file.stem, findings)
        if product is not None:
            cells = {key: _name_of(value) for key, value in product.items()}
            table.rows.append(Row(f"styles/{file.name}", {**cells, "id": file.stem}))
    table.columns = list({column for row in table.rows for column in row.cells})
    return table


def _description(product: object) -> str:
    """The description of a product as plain text, empty if there is none."""
    value = product
    for key in ("productDescriptors", DESCRIPTION, "value"):
        value = value.get(key) if isinstance(value, dict) else None
    return plain_text(value) if isinstance(value, str) else ""


def _product(root: Path, number: str, findings: Findings) -> dict[str, Any] | None:
    """What is known of a product; None, and a finding, if its file cannot be read."""
    where = f"styles/{number}.json"
    content = read_own(root, root / where, where, findings)
    if content is None:
        return None
    try:
        return dict(json.loads(content)["data"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        findings.add(BROKEN_LINE, where, f"no JSON with an object 'data' ({error})")
        return None


def _name_of(value: object) -> object:
    """A field's value; of a nested type its name."""
    return value.get("typeName") if isinstance(value, dict) else value
