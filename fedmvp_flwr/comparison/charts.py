"""The drawings of a comparison."""

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fedmvp_flwr.comparison.outcomes import Group
from fedmvp_flwr.reporting.svg import SERIES, Ink, Plot, draw, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW = 0.42  # inches per method
_WIDTH = 4.6
_HEIGHT = 2.9
_BAR = 0.26
_MEGA = 1e6
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")


def bars(name: str, label: str, group: Group, conditions: Sequence[str]) -> Plot:
    """Mean accuracy of each method with its spread over the seeds, a bar for each condition."""
    methods = [m for m in group.outcomes if any(group.values(m, c) for c in conditions)]

    def paint(axes: "Axes") -> None:
        for place, condition in enumerate(conditions):
            scores = [[100 * v for v in group.values(m, condition)] for m in methods]
            rows = [row + (place - (len(conditions) - 1) / 2) * _BAR for row in range(len(methods))]
            axes.barh(
                rows,
                [statistics.mean(s) if s else 0.0 for s in scores],
                height=_BAR,
                xerr=[statistics.stdev(s) if len(s) > 1 else 0.0 for s in scores],
                color=SERIES[place],
                ecolor=Ink.TEXT,
                label=condition,
            )
        axes.set_yticks(range(len(methods)), [printable(m) for m in methods])
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_xlabel("Accuracy in %")
        axes.grid(visible=False, axis="y")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(conditions))

    return draw(name, label, (_WIDTH, 0.9 + _ROW * len(methods)), paint)


def over_bytes(name: str, label: str, group: Group) -> Plot:
    """Accuracy on complete samples over what a run sends."""

    def paint(axes: "Axes") -> None:
        for place, (method, runs) in enumerate(group.outcomes.items()):
            axes.plot(
                [statistics.mean(run.bytes for run in runs) / _MEGA],
                [100 * (group.mean(method, "complete") or 0.0)],
                linestyle="",
                marker=_MARKERS[place % len(_MARKERS)],
                color=SERIES[place % len(SERIES)],
                label=printable(method),
            )
        axes.set_xlabel("MB of model messages in a run")
        axes.set_ylabel("Accuracy in %, complete")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    return draw(name, label, (1.4 * _WIDTH, _HEIGHT), paint)


def over_key(
    name: str, label: str, key: str, groups: Mapping[float, Group], condition: str
) -> Plot:
    """Mean accuracy of each method over the values of a setting."""
    methods = list(dict.fromkeys(m for group in groups.values() for m in group.outcomes))

    def paint(axes: "Axes") -> None:
        for place, method in enumerate(methods):
            points = {v: g.mean(method, condition) for v, g in sorted(groups.items())}
            known = {value: mean for value, mean in points.items() if mean is not None}
            axes.plot(
                list(known),
                [100 * mean for mean in known.values()],
                marker=_MARKERS[place % len(_MARKERS)],
                color=SERIES[place % len(SERIES)],
                linestyle=("-", "--", ":")[place // len(SERIES) % 3],
                label=printable(method),
            )
        axes.set_xlabel(key)
        axes.set_ylabel(f"Accuracy in %, {condition}")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    return draw(name, label, (1.4 * _WIDTH, _HEIGHT), paint)
