"""What a cell of a table says: nothing, a name, or texts."""

import json
import math
import re
import reprlib
import unicodedata
from collections.abc import Mapping

from fedmvp_flwr.base.errors import DataError

# Not all of the category Cf: the tags, for one, tell the flags of England and Scotland apart.
_ZERO_WIDTH = dict.fromkeys(
    (
        0xAD,
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2065),
        *range(0x2066, 0x2070),
        0xFEFF,
    )
)
_LIST = re.compile(r'\[\s*"')  # how a list of texts begins; [1] and [sic] are texts
_INVISIBLE = ("Cc", "Cf", "Zs", "Zl", "Zp")


class BadCell(str):
    """What stands for a cell whose type makes it no name: a list, an object, true or false."""


def is_empty(value: object) -> bool:
    """Whether a cell says nothing: null, NaN, or no character that can be seen."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return isinstance(value, str) and all(
        unicodedata.category(c) in _INVISIBLE for c in value.strip()
    )


def as_label(value: object) -> str | None:
    """A label cell as a class name: 3, 3.0 and "3" are the same class; a `BadCell` is none."""
    if isinstance(value, bool | Mapping | list | tuple | set):
        return BadCell(printable(reprlib.repr(value)))
    if isinstance(value, bytes):
        value = value.decode(errors="surrogateescape")
    if is_empty(value):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return printable(str(value).strip())


def same_name(label: str) -> str:
    """What labels have in common that look the same: composed, without zero-width characters."""
    return unicodedata.normalize("NFC", label.translate(_ZERO_WIDTH)).strip()


def printable(text: str) -> str:
    """The text with what is no valid Unicode escaped, for keys and messages."""
    return text.encode("utf-8", "backslashreplace").decode()


def as_texts(cell: object) -> list[str]:
    """The texts in a cell: one, those of a list (also as JSON in a string), or none.

    Bytes are read as UTF-8; those that are not become surrogates, as in a CSV file.

    Raises:
        DataError: the cell, or an item of its list, is of a type that is no text.
    """
    try:
        return _as_texts(cell)
    except RecursionError as error:
        raise DataError("a list that is nested too deeply") from error


def _as_texts(cell: object) -> list[str]:
    if isinstance(cell, bytes):
        cell = cell.decode(errors="surrogateescape")
    if is_empty(cell):
        return []
    if isinstance(cell, list | tuple):
        return [text for item in cell for text in _as_texts(item)]
    if isinstance(cell, bool | Mapping | set):
        raise DataError(f"{reprlib.repr(cell)} is no text")
    text = str(cell)
    bare = text.strip()
    meant = _LIST.match(bare) is not None
    if meant or (bare.startswith("[") and bare.endswith("]")):  # a list in a CSV cell
        try:
            items = json.loads(bare)
        except ValueError:
            return [text]
        if meant or all(item is None or isinstance(item, str) for item in items):
            return _as_texts(items)
    return [text]
