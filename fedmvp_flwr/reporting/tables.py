"""A table as the page shows it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Text in rows and columns; the first column names the row.

    Attributes:
        caption: what the table shows.
        header: one heading per column.
        rows: cells, ready to print.
        numeric: whether all columns but the first are aligned as numbers.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: bool = True
