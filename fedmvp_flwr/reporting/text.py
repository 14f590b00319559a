"""Numbers and tables as a reader wants them: rounded, with units, a dash where there is none."""

from collections.abc import Sequence
from dataclasses import dataclass

DASH = "\N{EN DASH}"
_MINUTE = 60.0
_HOUR = 60 * _MINUTE
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB")
_KILO = 1000.0

CONDITIONS = {
    "complete": "Image and text",
    "image-only": "Image only",
    "text-only": "Text only",
}
UNSEEN = {
    "unseen-image": "Image only, classes without any image in training",
    "unseen-text": "Text only, classes without any text in training",
}
MEASURES = {"accuracy": "Accuracy", "macro-f1": "Macro-F1"}
COMPLETED = "-with-completion"
"""Ends the name of a measure where the missing modality was completed at test time."""


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


def percent(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage."""
    return DASH if share is None else f"{100 * share:.{digits}f}%"


def points(share: float | None, reference: float | None) -> str:
    """How far a share lies above another one, in percentage points with their sign."""
    if share is None or reference is None:
        return DASH
    return f"{100 * (share - reference):+.1f}".replace("-", "\N{MINUS SIGN}")


def decimal(value: float | None, digits: int = 3) -> str:
    """A number with a fixed count of digits."""
    return DASH if value is None else f"{value:.{digits}f}"


def count(amount: float) -> str:
    """A whole number with separators."""
    return f"{round(amount):,}"


def duration(seconds: float) -> str:
    """Seconds as seconds, minutes or hours."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if round(seconds) < _HOUR:
        minutes, rest = divmod(round(seconds), int(_MINUTE))
        return f"{minutes} min {rest:02d} s"
    hours, rest = divmod(round(seconds / _MINUTE), int(_MINUTE))
    return f"{hours} h {rest:02d} min"


def size(amount: float) -> str:
    """Bytes in decimal units."""
    unit = 0
    while round(amount) >= _KILO and unit < len(_BYTE_UNITS) - 1:
        amount /= _KILO
        unit += 1
    digits = 0 if unit == 0 else max(2 - len(str(int(amount))) + 1, 0)
    return f"{amount:,.{digits}f} {_BYTE_UNITS[unit]}"


def title(key: str) -> str:
    """A kebab-case key as words."""
    return (CONDITIONS | UNSEEN).get(key) or key.replace("-", " ").capitalize()


def plural(amount: float | int, noun: str) -> str:
    """An amount with its noun in the right number."""
    return f"{count(amount)} {noun}" + ("" if amount == 1 else "s")
