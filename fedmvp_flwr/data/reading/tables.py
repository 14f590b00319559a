"""Metadata files as tables: .jsonl, .csv and .parquet, each row with the place it came from."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading.csv_text import Row, Table, csv_table, decoded, require_distinct
from fedmvp_flwr.data.reading.findings import BROKEN_LINE, Findings

SUFFIXES = (".jsonl", ".csv", ".parquet")


def read_table(path: Path, name: str, findings: Findings, wanted: Collection[str]) -> Table:
    """Read a metadata file; lines that cannot be read are found and left out.

    Args:
        path: the file, of one of the `SUFFIXES`.
        name: how messages name it.
        findings: takes the broken lines.
        wanted: the columns of a parquet file that are read. Tables come with embeddings, or with
            dates that Python has no value for, which nobody needs.

    Raises:
        DataError: the file, or one of these columns, cannot be read.
    """
    try:
        if path.suffix.lower() == ".parquet":
            return _parquet_table(path, name, wanted)
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"'{name}' cannot be read ({error.strerror or error}).") from error
    text = decoded(content, name)
    if path.suffix.lower() == ".csv":
        return csv_table(text, name, findings)
    return _jsonl_table(content, name, findings)


def read_csv(
    path: Path, name: str, findings: Findings, *, delimiter: str = ",", free_text: str = ""
) -> Table:
    """Read a CSV file, see `csv_table`; raises a DataError if it cannot be read at all."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"'{name}' cannot be read ({error.strerror or error}).") from error
    return csv_table(decoded(content, name), name, findings, delimiter, free_text)


def require_columns(there: Sequence[str], columns: Mapping[str, str], name: str) -> None:
    """Refuse a table that lacks a column; one without any has no row, either.

    Args:
        there: its columns.
        columns: wanted column by the run-config key that chose it.
        name: how messages name the table.

    Raises:
        DataError: lists the columns that are missing and those that are there.
    """
    missing = [f"'{column}' ({key})" for key, column in columns.items() if column not in there]
    if missing and there:
        raise DataError(f"{name} has no column {', '.join(missing)}. It has {sorted(there)}.")


def require_rows(table: Table, name: str, findings: Findings) -> None:
    """Refuse a table without a row, unless its findings say better why there is none."""
    if not table.rows and not findings.bad:
        header = f" below its header {table.columns}" if table.columns else ""
        raise DataError(f"{name} has no rows{header}. Write a row for each sample.")


def _jsonl_table(content: bytes, name: str, findings: Findings) -> Table:
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
            table.rows.append(Row(where, cells))
        else:
            findings.add(BROKEN_LINE, where, "no JSON object")
    table.columns = list(dict.fromkeys(column for row in table.rows for column in row.cells))
    return table


def _parquet_table(path: Path, name: str, wanted: Collection[str]) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = {}
    try:
        with pq.ParquetFile(path) as file:
            table = Table(list(file.schema_arrow.names))
            count = file.metadata.num_rows
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"'{name}' is no parquet file that can be read ({error}).") from error
    require_distinct(table.columns, name)
    for column in wanted:
        if column in table.columns:
            try:
                with pq.ParquetFile(path) as file:
                    # The name of a field in it may be the same as that of another column.
                    columns[column] = file.read(columns=[column]).column(column).to_pylist()
            except (pa.ArrowException, OSError, OverflowError, ValueError) as error:
                raise DataError(
                    f"'{name}': column '{column}' cannot be read ({error}). Write it as text, or "
                    "name another column."
                ) from error
    for index in range(count):
        cells = {column: values[index] for column, values in columns.items()}
        table.rows.append(Row(f"{name}:row {index + 1}", cells))
    return table
