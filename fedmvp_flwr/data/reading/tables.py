"""Metadata files as rows: .jsonl, .csv and .parquet, each row with the place it came from."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading.cells import is_empty
from fedmvp_flwr.data.reading.csv_text import csv_rows, decoded
from fedmvp_flwr.data.reading.findings import BROKEN_LINE, Findings
from fedmvp_flwr.data.reading.parquet import ParquetCells, ParquetColumns

__all__ = ["SUFFIXES", "Row", "Table", "is_empty", "read_csv", "read_table", "require_columns"]
SUFFIXES = (".jsonl", ".csv", ".parquet")


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        where: file and line, as "metadata.csv:7".
        cells: values by column; None where the cell is empty.
    """

    where: str
    cells: Mapping[str, Any]


class Table(list[Row]):
    """The rows of a file.

    Attributes:
        columns: names in the file's header, which it may have without a row; none if it has no
            header, as `.jsonl` has none.
    """

    def __init__(self, rows: Iterable[Row] = (), columns: Sequence[str] = ()) -> None:
        """Take rows, and the names in the header."""
        super().__init__(rows)
        self.columns = tuple(columns)


def read_csv(
    path: Path, name: str, findings: Findings, *, delimiter: str = ",", free_text: str = ""
) -> Table:
    """Read a CSV file; lines that cannot be read are found and left out.

    Args:
        path: the file.
        name: how messages name it.
        findings: takes the broken lines.
        delimiter: between cells; a header without it may have semicolons or tabs instead.
        free_text: a column whose text nobody put in quotes: delimiters in excess belong to it, if
            it is the last one.

    Raises:
        DataError: the file cannot be read at all.
    """

    def read() -> Table:
        columns: list[str] = []
        content = decoded(path.read_bytes(), name)
        found = csv_rows(content, name, findings, delimiter, free_text, columns)
        rows = [Row(where, cells) for where, cells in found]
        return Table(rows, columns)

    return _readable(name, read)


def read_table(path: Path, name: str, findings: Findings) -> Table:
    """Read a metadata file; lines that cannot be read are found and left out.

    Args:
        path: the file; its suffix decides.
        name: how messages name it.
        findings: takes the broken lines.

    Raises:
        DataError: the file cannot be read at all, or its suffix is another one. The cells of a
            parquet file raise it when they are read.
    """
    readers = {".jsonl": _read_jsonl, ".csv": read_csv, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"'{name}' is no table: expected one of {', '.join(SUFFIXES)}.")
    return _readable(name, lambda: reader(path, name, findings))


def require_columns(
    rows: Sequence[Row],
    columns: Mapping[str, str],
    name: str,
    findings: Findings | None = None,
) -> None:
    """Refuse a table that lacks a column in every row, or that has no row.

    Args:
        rows: the table.
        columns: wanted column by the run-config key that chose it.
        name: how messages name the table.
        findings: of the table; if it has some, they say better why there is no row.

    Raises:
        DataError: lists the columns that are missing and those that are there.
    """
    header = rows.columns if isinstance(rows, Table) else ()
    there = sorted(set(header) or {column for row in rows for column in row.cells})
    missing = [f"'{column}' ({key})" for key, column in columns.items() if column not in there]
    if missing and (there or rows):
        raise DataError(f"{name} has no column {', '.join(missing)}. It has {there}.")
    if not rows and not (findings and findings.bad):
        what = f"no rows below its header {list(header)}" if header else "no rows"
        raise DataError(f"{name} has {what}. Write a row for each sample.")


def _readable(name: str, read: Callable[[], Table]) -> Table:
    try:
        return read()
    except OSError as error:
        raise DataError(f"'{name}' cannot be read ({error.strerror or error}).") from error


def _read_jsonl(path: Path, name: str, findings: Findings) -> Table:
    content = path.read_bytes()
    decoded(content, name)
    table = Table()
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
            table.append(Row(where, cells))
        else:
            findings.add(BROKEN_LINE, where, "no JSON object")
    return table


def _read_parquet(path: Path, name: str, findings: Findings) -> Table:
    columns = ParquetColumns(path, name)
    rows = (
        Row(f"{name}:row {index + 1}", ParquetCells(columns, index))
        for index in range(columns.num_rows)
    )
    return Table(rows, columns.names)
