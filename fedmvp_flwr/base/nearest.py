"""The known name that somebody may have meant."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most alike, or None where none is."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What to put behind an unknown name: " (did you mean 'seed'?)", or nothing."""
    near = nearest(name, known)
    return f" (did you mean '{near}'?)" if near else ""
