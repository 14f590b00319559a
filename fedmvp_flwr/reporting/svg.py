"""Matplotlib drawings as inline SVG that follows the page: its colours, its font, its width.

Drawings use the placeholder colours of `Ink`. In the finished SVG they become CSS variables, so
that one drawing serves a light and a dark page. Text stays text.
"""

import io
import re
import unicodedata
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Ink(StrEnum):
    """Placeholder colours; the page's style sheet says what they look like."""

    TEXT = "#010101"
    MUTED = "#020202"
    GRID = "#030303"
    SURFACE = "#040404"
    FIRST = "#050505"
    SECOND = "#060606"
    THIRD = "#070707"


SERIES = (Ink.FIRST, Ink.SECOND, Ink.THIRD)

_VARIABLES = {ink.value: f"var(--{ink.name.lower()})" for ink in Ink}
_FONT_SIZE = 9.0  # points: readable where a drawing shrinks to the width of a phone
_SMALL = 8.0
_SETTINGS: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": Ink.MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": Ink.MUTED,
    "axes.labelsize": _FONT_SIZE,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": _FONT_SIZE,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",  # shipped with matplotlib; the page's own font replaces it
    "font.size": _FONT_SIZE,
    "grid.color": Ink.GRID,
    "grid.linewidth": 0.6,
    "hatch.color": Ink.SURFACE,
    "hatch.linewidth": 1.0,
    "legend.fontsize": _SMALL,
    "legend.frameon": False,
    "legend.labelcolor": Ink.TEXT,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.0,
    "svg.fonttype": "none",
    "text.color": Ink.TEXT,
    "text.parse_math": False,  # a class name may hold a dollar sign
    "xtick.color": Ink.MUTED,
    "xtick.labelsize": _SMALL,
    "xtick.major.width": 0.6,
    "ytick.color": Ink.MUTED,
    "ytick.labelsize": _SMALL,
    "ytick.major.width": 0.6,
}
_SVG = re.compile(r"<svg\b[^>]*>(.*)</svg>", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_VIEW_BOX = re.compile(r'viewBox="([\d. ]+)"')
_COLOUR = re.compile(r"(?<=: )#[0-9a-f]{6}\b")
_COLOUR_ATTRIBUTE = re.compile(r'\b(fill|stroke)="(#[0-9a-f]{6})"')
_REFERENCE = re.compile(r'(?P<before>\bid="|href="#|url\(#)(?P<name>[^")]+)')


@dataclass(frozen=True)
class Plot:
    """A drawing and what it says.

    Attributes:
        svg: the content of an inline `<svg>` element.
        view_box: its `viewBox`.
        label: a sentence for those who cannot see it.
        width: its natural width in points.
    """

    svg: str
    view_box: str
    label: str
    width: float


def draw(name: str, label: str, size: tuple[float, float], paint: Callable[["Axes"], None]) -> Plot:
    """Make one drawing.

    Args:
        name: unique in the page; keeps the ids inside several drawings apart.
        label: a sentence for those who cannot see it.
        size: width and height in inches.
        paint: draws into the axes that it is given.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    settings: Any = _SETTINGS | {"svg.hashsalt": name}
    with rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=size, layout="constrained")
        paint(figure.add_subplot())
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg, view_box = _inline(buffer.getvalue(), name)
    return Plot(svg, view_box, label, width=float(view_box.split()[2]))


def printable(text: str, length: int = 28) -> str:
    """Text for a drawing: without control characters, which XML refuses, and not too long."""
    clean = "".join(" " if unicodedata.category(c).startswith("C") else c for c in text)
    return clean if len(clean) <= length else clean[: length - 1] + "…"


def _inline(document: str, name: str) -> tuple[str, str]:
    view_box = _VIEW_BOX.search(document)
    body = _SVG.search(document)
    if view_box is None or body is None:  # pragma: no cover - another matplotlib's SVG
        raise ValueError("matplotlib wrote no <svg> with a viewBox.")
    svg = _METADATA.sub("", body.group(1)).replace("xlink:href", "href")
    svg = _COLOUR_ATTRIBUTE.sub(r'style="\1: \2"', svg)  # var() belongs into style
    svg = _COLOUR.sub(lambda match: _VARIABLES.get(match.group(), match.group()), svg)
    svg = _REFERENCE.sub(rf"\g<before>{name}-\g<name>", svg)
    return svg.strip(), view_box.group(1)
