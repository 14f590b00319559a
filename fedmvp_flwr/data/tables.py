"""Metadata files as rows: .jsonl, .csv and .parquet, each row with the place it came from."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp_flwr.data.cells import is_empty
from fedmvp_flwr.data.csv_text import csv_rows, decoded
from fedmvp_flwr.data.findings import BROKEN_LINE, Findings
from fedmvp_flwr.errors import DataError

__all__ = ["SUFFIXES", "Row", "is_empty", "read_csv", "read_table", "require_columns"]
SUFFIXES = (".jsonl", ".csv", ".parquet")


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        where: file and line, as "metadata.csv:7".
        cells: values by column; None where the cell is empty.
    """

    where: str
    cells: dict[str, Any]


def read_csv(
    path: Path,
    name: str,
    findings: Findings,
    *,
    delimiter: str = ",",
    last_takes_rest: bool = False,
) -> list[Row]:
    """Read a CSV file; lines that cannot be read are found and left out.

    Args:
        path: the file.
        name: how messages name it.
        findings: takes the broken lines.
        delimiter: between cells; a header without it may have semicolons or tabs instead.
        last_takes_rest: whether delimiters in excess belong to the last cell (free text that
            nobody put in quotes).

    Raises:
        DataError: the file cannot be read at all.
    """
    try:
        return list(_read_csv(path, name, findings, delimiter, last_takes_rest))
    except OSError as error:
        raise DataError(f"'{name}' cannot be read ({error.strerror or error}).") from error


def read_table(path: Path, name: str, findings: Findings) -> list[Row]:
    """Read a metadata file; lines that cannot be read are found and left out.

    Args:
        path: the file; its suffix decides.
        name: how messages name it.
        findings: takes the broken lines.

    Raises:
        DataError: the file cannot be read at all, or its suffix is another one.
    """
    readers = {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"'{name}' is no table: expected one of {', '.join(SUFFIXES)}.")
    try:
        return list(reader(path, name, findings))
    except OSError as error:
        raise DataError(f"'{name}' cannot be read ({error.strerror or error}).") from error


def require_columns(rows: Sequence[Row], columns: dict[str, str], name: str) -> None:
    """Refuse a table that lacks a column in every row.

    Args:
        rows: the table.
        columns: wanted column by the run-config key that chose it.
        name: how messages name the table.

    Raises:
        DataError: lists the columns that are missing and those that are there.
    """
    there = sorted({column for row in rows for column in row.cells})
    missing = [f"'{column}' ({key})" for key, column in columns.items() if column not in there]
    if missing:
        raise DataError(f"{name} has no column {', '.join(missing)}. It has {there}.")


def _read_jsonl(path: Path, name: str, findings: Findings) -> Iterator[Row]:
    content = path.read_bytes()
    decoded(content, name)
    for number, line in enumerate(content.splitlines(), 1):
        where = f"{name}:{number}"
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            if not text.strip():
                continue
            cells = json.loads(text)
        except (ValueError, RecursionError) as error:
            findings.add(BROKEN_LINE, where, f"no JSON ({error})")
            continue
        if isinstance(cells, dict):
            yield Row(where, cells)
        else:
            findings.add(BROKEN_LINE, where, "no JSON object")


def _read_csv(
    path: Path,
    name: str,
    findings: Findings,
    delimiter: str = ",",
    last_takes_rest: bool = False,
) -> Iterator[Row]:
    content = decoded(path.read_bytes(), name)
    for where, cells in csv_rows(content, name, findings, delimiter, last_takes_rest):
        yield Row(where, cells)


def _read_parquet(path: Path, name: str, findings: Findings) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        cells = pq.read_table(path).to_pylist()
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"'{name}' is no parquet file that can be read ({error}).") from error
    for number, row in enumerate(cells, 1):
        yield Row(f"{name}:row {number}", row)
