"""Files that say something of samples, for owners and for masks: tables by key, saved records."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading.csv_text import csv_table
from fedmvp_flwr.data.reading.findings import BROKEN_LINE, Findings

KEY = "key"
_T = TypeVar("_T")


def read_text(path: Path, setting: str) -> str:
    """The text of a file that a setting names.

    Raises:
        DataError: it cannot be read; names the setting.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{setting} cannot be read as UTF-8 ({error}).") from error


def parse_record(path: Path, content: str, record: type[_T], what: str) -> _T:
    """Parse what a run saved as JSON.

    Args:
        path: its file, for the message.
        content: the text.
        record: the type that it must have.
        what: what it is to be, for the message, as "saved mask".

    Raises:
        DataError: it is no JSON, or of another type; says where.
    """
    try:
        return TypeAdapter(record).validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "content"
        raise DataError(f"'{path}' is no {what}: {where}: {first['msg']}.") from error


def keyed_rows(
    path: Path, content: str, columns: Sequence[str]
) -> dict[str, tuple[str, dict[str, str]]]:
    """Read a CSV with a column `key` and others; spaces around cells do not count.

    Args:
        path: its file, for messages.
        content: the text.
        columns: those that it needs besides.

    Returns:
        By key the place, as file and line, and the cells by column.

    Raises:
        DataError: a line cannot be read, a column is missing, or a key is named twice.
    """
    findings = Findings(str(path))
    needed = [KEY, *columns]
    found: dict[str, tuple[str, dict[str, str]]] = {}
    table = csv_table(content, str(path), findings)
    if any(column not in table.columns for column in needed):
        there = sorted(table.columns)
        raise DataError(f"'{path}' needs the columns {', '.join(needed)}; has {there}.")
    for row in table.rows:
        cells = {column: cell.strip() for column, cell in row.cells.items()}
        if cells[KEY] in found:
            raise DataError(f"{row.where}: '{cells[KEY]}' is named twice.")
        found[cells[KEY]] = row.where, cells
    for broken in findings.bad.get(BROKEN_LINE, []):
        raise DataError(f"{broken}. Repair that line.")
    return found
