"""Fields of COCO's JSON files, each as the type that it must have, or None."""

import json
import math
import reprlib
from pathlib import Path

from fedmvp_flwr.base.errors import DataError

Id = int | str


def read_lists(
    path: Path, keys: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, list[object]]:
    """Read the lists of a JSON object.

    Args:
        path: the file.
        keys: lists that must be there.
        optional: lists that need not be there; empty if they are not, or are no lists.

    Raises:
        DataError: the file cannot be read, is no JSON, or lacks a list; names it.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error.strerror or error}).") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is no JSON ({error}).") from error
    missing = [
        key
        for key in keys
        if not isinstance(content, dict) or not isinstance(content.get(key), list)
    ]
    if missing:
        raise DataError(f"'{path}' lacks the lists {missing}.")
    found = {key: content[key] for key in keys}
    others = {key: content.get(key) for key in optional}
    return found | {key: value if isinstance(value, list) else [] for key, value in others.items()}


def as_id(item: object, key: str) -> Id | None:
    """An id: whole number or text; 3.0, which pandas writes beside empty cells, is 3."""
    value = _field(item, key)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def ids_of(items: list[object]) -> set[Id]:
    """The ids of entries; those that have none, or none that can be read, are left out."""
    return {number for item in items if (number := as_id(item, "id")) is not None}


def annotation_place(file: str, position: int, item: object) -> str:
    """Where an annotation stands, with its id if it has one: "a.json:annotations[3] (id 17)"."""
    number = as_id(item, "id")
    own = "" if number is None else f" (id {reprlib.repr(number)})"
    return f"{file}:annotations[{position}]{own}"


def as_name(item: object, key: str) -> str | None:
    """A text that is not empty."""
    value = _field(item, key)
    return value if isinstance(value, str) and value.strip() else None


def as_caption(item: object) -> str | None:
    """The caption; null is an empty one."""
    if not isinstance(item, dict) or "caption" not in item:
        return None
    value = "" if item["caption"] is None else item["caption"]
    return value if isinstance(value, str) else None


def as_area(item: object) -> float | None:
    """The area: finite and not negative."""
    value = _field(item, "area")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        area = float(value)
    except (ValueError, OverflowError):
        return None
    return area if math.isfinite(area) and area >= 0 else None


def _field(item: object, key: str) -> object:
    return item.get(key) if isinstance(item, dict) else None
