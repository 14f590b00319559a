"""Tables by hand that say something of samples by their keys: owners, and masks."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading.csv_text import csv_rows
from fedmvp_flwr.data.reading.findings import BROKEN_LINE, Findings

KEY = "key"


def read_text(path: Path, setting: str) -> str:
    """The text of a file that a setting names, as UTF-8.

    Raises:
        DataError: it cannot be read; names the setting.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{setting} cannot be read ({error}). Save it as UTF-8.") from error
    except OSError as error:
        raise DataError(f"{setting} cannot be read ({error}).") from error


def parse_json(path: Path, content: str, what: str) -> Any:  # noqa: ANN401 - any JSON value
    """Parse a saved record.

    Args:
        path: its file, for the message.
        content: the text.
        what: what it is to be, for the message, as "saved mask (keys and present)".

    Raises:
        DataError: it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is no {what}: it is no JSON ({error}).") from error


def keyed_rows(
    path: Path, content: str, columns: Sequence[str]
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Read a CSV with a column `key` and others; spaces around cells do not count.

    Args:
        path: its file, for messages.
        content: the text.
        columns: those that it needs besides.

    Yields:
        File and line, the key, and the cells by column.

    Raises:
        DataError: a line cannot be read, a column is missing, or a key is named twice.
    """
    findings = Findings(str(path))
    needed = [KEY, *columns]
    seen = set()
    for where, cells in csv_rows(content, str(path), findings):
        missing = [column for column in needed if column not in cells]
        if missing:
            raise DataError(f"'{path}' needs the columns {', '.join(needed)}; has {sorted(cells)}.")
        row = {column: cell.strip() for column, cell in cells.items()}
        if row[KEY] in seen:
            raise DataError(f"{where}: '{row[KEY]}' is named twice.")
        seen.add(row[KEY])
        yield where, row[KEY], row
    for broken in findings.bad.get(BROKEN_LINE, []):
        raise DataError(f"{broken}. Repair that line.")
