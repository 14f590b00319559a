"""CSV as cells by column, each row with its place; what cannot be read is found, not guessed."""

import codecs
import csv
import io
from collections.abc import Iterator

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading.findings import BROKEN_LINE, Findings

_LONGEST_CELL = 2**31 - 1
_PROBED = 200  # bytes
_OTHER_DELIMITERS = (";", "\t")  # what spreadsheets write where the comma is a decimal point


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


def csv_rows(
    content: str,
    name: str,
    findings: Findings,
    delimiter: str = ",",
    free_text: str = "",
    columns: list[str] | None = None,
) -> Iterator[tuple[str, dict[str, str]]]:
    """Read the rows below a header; empty lines are left out.

    Args:
        content: of the file.
        name: how messages name the file.
        findings: takes the rows that cannot be read, with all lines that are lost by it.
        delimiter: between cells; a header without it may have semicolons or tabs instead.
        free_text: a column that takes delimiters in excess, if it is the last one.
        columns: takes the names in the header, also if no row follows.

    Yields:
        File and line, and the cells by column.

    Raises:
        DataError: two columns have the same name.
    """
    # Of the whole process, and never set back: another thread may be reading just now. Cells of
    # any length come through, to be found as texts that are too long.
    csv.field_size_limit(_LONGEST_CELL)
    delimiter = _delimiter_of(content, delimiter)
    lines = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        number = lines.line_num + 1
        where = f"{name}:{number}"
        try:
            values = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            findings.add(BROKEN_LINE, where, f"{error}{_lost(number, lines.line_num)}")
            if header is None:
                return  # the next line would pass for the header
            continue
        if not values:
            continue
        if header is None:
            header = [column.strip() for column in values]
            require_distinct(header, name)
            if columns is not None:
                columns += header
            continue
        if free_text and free_text == header[-1] and len(values) > len(header):
            last = len(header) - 1
            values = [*values[:last], delimiter.join(values[last:])]
        if len(values) != len(header):
            what = f"{len(values)} cells, expected {len(header)}"
            findings.add(BROKEN_LINE, where, what + _lost(number, lines.line_num))
        else:
            yield where, dict(zip(header, values, strict=True))


def _delimiter_of(content: str, delimiter: str) -> str:
    header = content.lstrip().partition("\n")[0]
    if delimiter in header:
        return delimiter
    return next((other for other in _OTHER_DELIMITERS if other in header), delimiter)


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
