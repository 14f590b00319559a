"""CSV as a table whose rows have their places; what cannot be read is found, not guessed."""

import codecs
import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading.findings import BROKEN_LINE, Findings

_LONGEST_CELL = 2**31 - 1
_PROBED = 200  # bytes
_OTHER_DELIMITERS = (";", "\t")  # what spreadsheets write where the comma is a decimal point


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        where: file and line, as "metadata.csv:7".
        cells: values by column; None where the cell is empty.
    """

    where: str
    cells: Mapping[str, Any]


@dataclass
class Table:
    """The rows of a file.

    Attributes:
        columns: their names; a header may have some without a row.
        rows: in the order of the file.
    """

    columns: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


def decoded(content: bytes, name: str) -> str:
    """A file's text; bytes that are no UTF-8 become surrogates, to be found as broken text.

    Raises:
        DataError: it seems to be UTF-16.
    """
    begin = content[:_PROBED]
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if marked or begin.count(0) * 3 > len(begin):
        raise DataError(
            f"'{name}' seems to be UTF-16, expected UTF-8. Save it as UTF-8 (in a spreadsheet: "
            "'CSV UTF-8'; or: iconv -f UTF-16 -t UTF-8)."
        )
    return content.decode("utf-8-sig", errors="surrogateescape")


def csv_table(
    content: str, name: str, findings: Findings, delimiter: str = ",", free_text: str = ""
) -> Table:
    """Read the rows below a header; empty lines are left out.

    Args:
        content: of the file.
        name: how messages name the file.
        findings: takes the rows that cannot be read, with all lines that are lost by it.
        delimiter: between cells; a header without it may have semicolons or tabs instead.
        free_text: a column whose text nobody put in quotes: delimiters in excess belong to it, if
            it is the last one.

    Raises:
        DataError: two columns have the same name.
    """
    # Of the whole process, and never set back: another thread may be reading just now. Cells of
    # any length come through, to be found as texts that are too long.
    csv.field_size_limit(_LONGEST_CELL)
    header = content.lstrip().partition("\n")[0]
    if delimiter not in header:
        delimiter = next((other for other in _OTHER_DELIMITERS if other in header), delimiter)
    lines = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    table = Table()
    while True:
        number = lines.line_num + 1
        where = f"{name}:{number}"
        try:
            values = next(lines)
        except StopIteration:
            return table
        except csv.Error as error:
            findings.add(BROKEN_LINE, where, f"{error}{_lost(number, lines.line_num)}")
            if not table.columns:
                return table  # the next line would pass for the header
            continue
        if not values:
            continue
        if not table.columns:
            table.columns = [column.strip() for column in values]
            require_distinct(table.columns, name)
            continue
        width = len(table.columns)
        if free_text and free_text == table.columns[-1] and len(values) > width:
            values = [*values[: width - 1], delimiter.join(values[width - 1 :])]
        if len(values) != width:
            what = f"{len(values)} cells, expected {width}"
            findings.add(BROKEN_LINE, where, what + _lost(number, lines.line_num))
        else:
            table.rows.append(Row(where, dict(zip(table.columns, values, strict=True))))


def require_distinct(header: list[str], name: str) -> None:
    """Refuse a table with two columns of one name; those without a name may be many.

    Raises:
        DataError: names the columns.
    """
    twice = sorted({column for column in header if column and header.count(column) > 1})
    if twice:
        raise DataError(
            f"'{name}' has more than one column {', '.join(map(repr, twice))}. Rename or remove "
            "all but one."
        )


def _lost(first: int, last: int) -> str:
    """What to say of a row that cannot be read and goes over several lines."""
    if last <= first:
        return ""
    return f" (lines {first} to {last}, {last - first + 1} lines, are lost: is a quote not closed?)"
