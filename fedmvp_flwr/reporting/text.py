"""Numbers as a reader wants them: rounded, with their unit, and a dash where there is none."""

from fedmvp_flwr.reporting.events import number

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


def percent(value: object, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage."""
    share = number(value)
    return DASH if share is None else f"{100 * share:.{digits}f}%"


def points(value: float | None) -> str:
    """A difference between two shares in percentage points, with its sign."""
    return DASH if value is None else f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}")


def decimal(value: object, digits: int = 3) -> str:
    """A number with a fixed count of digits."""
    found = number(value)
    return DASH if found is None else f"{found:.{digits}f}"


def count(value: object) -> str:
    """A whole number with separators."""
    found = number(value)
    return DASH if found is None else f"{round(found):,}"


def duration(value: object) -> str:
    """Seconds as seconds, minutes or hours."""
    seconds = number(value)
    if seconds is None:
        return DASH
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if round(seconds) < _HOUR:
        minutes, rest = divmod(round(seconds), int(_MINUTE))
        return f"{minutes} min {rest:02d} s"
    hours, rest = divmod(round(seconds / _MINUTE), int(_MINUTE))
    return f"{hours} h {rest:02d} min"


def size(value: object) -> str:
    """Bytes in decimal units."""
    amount = number(value)
    if amount is None:
        return DASH
    unit = 0
    while round(abs(amount)) >= _KILO and unit < len(_BYTE_UNITS) - 1:
        amount /= _KILO
        unit += 1
    digits = 0 if unit == 0 else max(2 - len(str(int(abs(amount)))) + 1, 0)
    return f"{amount:,.{digits}f} {_BYTE_UNITS[unit]}"


def whole(value: object) -> str:
    """An identifier such as a round or a partition id, without a fraction."""
    found = number(value)
    return DASH if found is None else f"{found:.0f}"


def title(key: str) -> str:
    """A kebab-case key as words."""
    return CONDITIONS.get(key) or key.replace("-", " ").capitalize()


def plural(amount: float | int, noun: str) -> str:
    """An amount with its noun in the right number."""
    return f"{count(amount)} {noun}" + ("" if amount == 1 else "s")
