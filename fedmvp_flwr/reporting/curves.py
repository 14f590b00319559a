"""Drawings over rounds, phases and clients: lines and bars."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING

from fedmvp_flwr.reporting.svg import SERIES, Ink, Plot, draw, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Series = Mapping[int, float | None]
_MARKERS = ("o", "s", "^")
_HATCHES = ("", "////", "\\\\\\\\")
_NOT_A_NUMBER = float("nan")
_FULL = (4.6, 2.9)  # inches: half of the page on a desktop, all of it on a phone
_SMALL = (3.0, 2.1)
_ROW = 0.24  # inches per bar
_MARKED_ROUNDS = 40  # more points than this get no markers


def line_chart(
    name: str,
    label: str,
    series: Mapping[str, Series],
    y_label: str,
    *,
    dashed: Sequence[str] = (),
    small: bool = False,
    percent: bool = False,
) -> Plot:
    """Draw lines over rounds.

    Args:
        name: unique in the page.
        label: what the drawing says.
        series: by name, the value in each round; None leaves a gap. Names in `dashed` take the
            colour of the name that they continue (`x, completed` that of `x`).
        y_label: what is measured.
        dashed: names of the series that are dashed.
        small: a third of the page instead of half.
        percent: show shares as percentages.
    """

    def paint(axes: "Axes") -> None:
        solid = [key for key in series if key not in dashed]
        for key, values in series.items():
            base = next((s for s in solid if key.startswith(s)), key)
            position = solid.index(base) % len(SERIES) if base in solid else 0
            rounds = sorted(values)
            axes.plot(
                rounds,
                [_or_gap(values[r]) for r in rounds],
                color=SERIES[position],
                linestyle="--" if key in dashed else "-",
                marker=_MARKERS[position] if len(rounds) <= _MARKED_ROUNDS else "",
                markerfacecolor=Ink.SURFACE if key in dashed else SERIES[position],
                label=printable(key, 40),
            )
        _over_rounds(axes, y_label)
        if percent:
            _percents(axes)
        if len(series) > 1:
            _legend(axes, 2)

    return draw(name, label, _SMALL if small else _FULL, paint)


def stacked_bars(
    name: str,
    label: str,
    rows: Sequence[str],
    parts: Mapping[str, Sequence[float]],
    x_label: str,
    y_label: str = "",
) -> Plot:
    """Draw one horizontal bar per row, stacked from up to three parts."""

    def paint(axes: "Axes") -> None:
        bar = partial(axes.barh, range(len(rows)), height=0.72, linewidth=0.8)
        _stack(bar, "left", parts)
        _rows(axes, rows)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        if len(parts) > 1:
            _legend(axes, len(parts))

    return draw(name, label, (_FULL[0], max(1.3, 0.9 + _ROW * len(rows))), paint)


def round_bars(
    name: str, label: str, rounds: Sequence[int], parts: Mapping[str, Sequence[float]], y_label: str
) -> Plot:
    """Draw one vertical bar per round, stacked from up to three parts."""

    def paint(axes: "Axes") -> None:
        _stack(partial(axes.bar, rounds, width=0.78, linewidth=0.4), "bottom", parts)
        _over_rounds(axes, y_label)
        axes.grid(visible=False, axis="x")
        _legend(axes, len(parts))

    return draw(name, label, _FULL, paint)


def _stack(bar: Callable[..., object], start: str, parts: Mapping[str, Sequence[float]]) -> None:
    """Draw bars from parts told apart by hatching, each where the one before ends.

    Args:
        bar: draws one part of every bar.
        start: name of its argument that says where they start.
        parts: the sizes of each.
    """
    ends = [0.0] * max(map(len, parts.values()))
    looks = zip(cycle(SERIES), cycle(_HATCHES), strict=False)
    for (part, sizes), (colour, hatch) in zip(parts.items(), looks, strict=False):
        look = {"color": colour, "hatch": hatch, "edgecolor": Ink.SURFACE, "label": part}
        bar(sizes, **{start: ends}, **look)
        ends = [end + size for end, size in zip(ends, sizes, strict=True)]


def _legend(axes: "Axes", columns: int) -> None:
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns)


def _rows(axes: "Axes", rows: Sequence[str]) -> None:
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _over_rounds(axes: "Axes", y_label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("Round")
    axes.set_ylabel(y_label)
    axes.xaxis.set_major_locator(
        MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)
    )


def _percents(axes: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g}%"))


def _or_gap(value: float | None) -> float:
    return _NOT_A_NUMBER if value is None else value
