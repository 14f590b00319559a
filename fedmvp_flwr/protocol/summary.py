"""What a node tells of itself before it may take part, and whether that can be true.

A summary comes from anyone. Every value that the server reads later is checked here, once, so that
none of them can end a run or be believed against all reason.
"""

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from reprlib import repr as shortened
from typing import Any

from fedmvp_flwr.base.samples import MODALITIES
from fedmvp_flwr.completion.gating import ACCEPT_ALL

Summary = dict[str, Any]

_MOST = 2**53  # beyond it float64 does not tell one count from the next
_LONGEST = 4096  # characters of a name or a model's spec
_COMPLETIONS = {"made", "reused", "rejected"}
_HASHES = {"split", "mask", "keys"}
_HASH = re.compile(r"[0-9a-f]{1,128}")
_ROUNDING = 1e-3  # of a cosine


def malformed(summary: Summary) -> str | None:
    """What is wrong with a summary in itself, or nothing.

    Args:
        summary: any JSON object.
    """
    lacking = [name for name in _NEEDED if summary.get(name) is None]
    if lacking:
        return f"its summary lacks {', '.join(lacking)}: another version of the app"
    for name, (fits, expected) in _FIELDS.items():
        if name in summary and not fits(summary[name]):
            return (
                f"its summary has {name} {shortened(summary[name])}, expected {expected}: another "
                "version of the app, or another program"
            )
    for name in ("complete", "trainable"):
        if summary[name] > summary["samples"]:
            return (
                f"its summary has {name} {summary[name]}, more than its {summary['samples']} "
                "samples: another program"
            )
    return None


def known_fields(summary: Summary) -> Summary:
    """The part of a summary that `malformed` has checked: nobody vouches for the rest."""
    return {name: summary[name] for name in _FIELDS if name in summary}


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_between(value: object, low: float, high: float) -> bool:
    """Whether it is a number in [low, high); NaN is not, nor is an integer of any length."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value < high


def _is_count(value: object) -> bool:
    return _is_integer(value) and _is_between(value, 0, _MOST)


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_count, value))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST


def _is_cosine(value: object) -> bool:
    return _is_between(value, -1 - _ROUNDING, 1 + _ROUNDING)


def _count_by_modality(value: object) -> bool:
    return isinstance(value, dict) and all(
        name in MODALITIES and _is_count(count) for name, count in value.items()
    )


def _are_completions(value: object) -> bool:
    return isinstance(value, dict) and all(
        name in MODALITIES
        and isinstance(counts, dict)
        and counts.keys() == _COMPLETIONS
        and all(map(_is_count, counts.values()))
        for name, counts in value.items()
    )


def _are_seconds(value: object) -> bool:
    return (
        isinstance(value, dict)
        and "features" in value
        and all(_is_text(name) and _is_between(s, 0, _MOST) for name, s in value.items())
    )


def _are_widths(value: object) -> bool:
    return isinstance(value, dict) and all(
        _is_text(name) and (_is_count(width) or _are_counts(width)) for name, width in value.items()
    )


def _are_hashes(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() >= _HASHES
        and all(isinstance(text, str) and _HASH.fullmatch(text) for text in value.values())
    )


def _are_models(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(model, dict) and all(part is None or _is_text(part) for part in model.values())
        for model in value.values()
    )


_Field = tuple[Callable[[object], bool], str]
_COUNT: _Field = (_is_count, "a count")
_NEEDED: dict[str, _Field] = {
    "samples": _COUNT,
    "complete": _COUNT,
    "trainable": _COUNT,
    "labels": (_are_counts, "a list of counts"),
    "completions": (_are_completions, f"counts {sorted(_COMPLETIONS)} by modality"),
    "gate-threshold": (_is_cosine, "a number in [-1, 1]"),
    "seconds": (_are_seconds, "durations, one of them of 'features'"),
    "widths": (_are_widths, "whole numbers by modality"),
    "hashes": (_are_hashes, f"hexadecimal texts, {sorted(_HASHES)} among them"),
}
_FIELDS: dict[str, _Field] = _NEEDED | {
    "held-out": _COUNT,
    "missing": (_count_by_modality, "counts by modality"),
    "models": (_are_models, "texts by model"),
    "name": (_is_text, "a text"),
    "partition-id": (_is_integer, "a whole number"),
}


def fallback_threshold(summaries: Sequence[Mapping[str, Any]]) -> float:
    """The gate's threshold for clients without a complete pair: the median of the others'.

    Args:
        summaries: of the clients that are ready.

    Returns:
        A cosine; -1, which accepts everything, if no client has a pair.
    """
    own = [float(s["gate-threshold"]) for s in summaries if s["complete"]]
    return statistics.median(own or [ACCEPT_ALL])
