"""The answer of a comparison in one sentence: is completion worth it on these data?"""

from fedmvp_flwr.comparison.methods import METHODS, REFERENCE
from fedmvp_flwr.comparison.outcomes import Group
from fedmvp_flwr.comparison.paired import Difference

_WHERE = {
    "complete": "complete samples",
    "image-only": "images alone",
    "text-only": "texts alone",
}
_WITHOUT = "the best method without completion"


def best_without_completion(group: Group) -> str | None:
    """The method without completion that is best on complete samples, of data with holes."""
    rivals = [
        name
        for name in group.outcomes
        if name in METHODS and not METHODS[name].completes and not METHODS[name].whole
    ]
    scored = [(group.mean(name, "complete") or 0.0, name) for name in rivals]
    return max(scored)[1] if scored else None


def verdict(group: Group, reference: str = REFERENCE) -> str:
    """Say whether completion is worth it, by how much, and what complete data would give."""
    rival = best_without_completion(group)
    if reference not in group.outcomes or rival is None:
        return (
            f"No answer: it takes {reference} and a method without completion, each with at least "
            "one completed run."
        )
    found = {where: group.difference(reference, rival, where) for where in _WHERE}
    known = {where: d for where, d in found.items() if d is not None}
    above = [where for where, d in known.items() if d.sign > 0]
    below = [where for where, d in known.items() if d.sign < 0]
    if above and not below:
        answer = "Completion is worth it here"
    elif below and not above:
        answer = "Completion is not worth it here"
    elif above:
        answer = f"Completion helps on {_listed(above)} and costs on {_listed(below)}"
    else:
        answer = "Whether completion is worth it, these runs cannot tell"
    gains = ", ".join(f"{_points(d)} on {_WHERE[where]}" for where, d in known.items())
    sentence = f"{answer}: {reference} against {rival}, {_WITHOUT}: {gains} (points, 95% interval)."
    return sentence + _upper_bound(group, reference)


def _upper_bound(group: Group, reference: str) -> str:
    wholes = [name for name in group.outcomes if name in METHODS and METHODS[name].whole]
    scored = [(group.mean(name, "complete") or 0.0, name) for name in wholes]
    if not scored:
        return ""
    best = max(scored)[1]
    difference = group.difference(reference, best, "complete")
    return f" Against {best}: {_points(difference)}." if difference else ""


def _points(difference: Difference) -> str:
    low, high = (f"{100 * bound:+.1f}" for bound in (difference.low, difference.high))
    return f"{100 * difference.mean:+.1f} ({low} to {high})"


def _listed(conditions: list[str]) -> str:
    return " and ".join(_WHERE[where] for where in conditions)
