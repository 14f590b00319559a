"""Heat maps whose colour is the opacity of one ink, so that they suit a light and a dark page.

Zero is transparent. Where there is room the cells hold their numbers.
"""

import base64
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedmvp_flwr.reporting.svg import Ink, Plot, draw, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Matrix = NDArray[np.float64]
_BLUE = (0.0, 0.447, 0.698)  # Okabe and Ito's blue and vermilion: told apart by all eyes
_VERMILION = (0.835, 0.369, 0.0)
_ABSENT = (0.5, 0.5, 0.5, 0.22)
_CELL_TEXT = 7.0
_PALE = 0.85  # opacity from which white has more contrast than the page's own text colour
_WHITE = "#ffffff"
_MOST_LABELS = 40  # more rows or columns than this are labelled in steps


def one_sided(values: Matrix, low: float, high: float) -> Matrix:
    """RGBA of each value in blue, transparent at `low` and below; NaN is grey."""
    colours = np.ones((*values.shape, 4))
    colours[..., :3] = _BLUE
    if low < high:
        colours[..., 3] = np.clip((np.nan_to_num(values, nan=low) - low) / (high - low), 0, 1)
    colours[np.isnan(values)] = _ABSENT
    return colours


def two_sided(values: Matrix, limit: float) -> Matrix:
    """RGBA of each value, blue above and vermilion below 0; NaN is grey."""
    colours = one_sided(np.abs(values), 0.0, limit)
    colours[np.nan_to_num(values) < 0, :3] = _VERMILION
    return colours


def heat_map(
    name: str,
    label: str,
    values: Matrix,
    colours: Matrix,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    axis_labels: tuple[str, str],
    text: Callable[[float], str] | None,
    cell: float,
    upright: bool = False,
) -> Plot:
    """Draw a matrix.

    Args:
        name: unique in the page.
        label: what the drawing says.
        values: (R, C), NaN where there is nothing.
        colours: (R, C, 4) RGBA of the cells.
        rows: R labels.
        columns: C labels.
        axis_labels: what rows and columns are.
        text: what to write into a cell; None writes nothing.
        cell: width and height of a cell in inches.
        upright: turn the column labels by 90 degrees.
    """
    height, width = values.shape

    def paint(axes: "Axes") -> None:
        axes.imshow(colours, interpolation="none", aspect="equal")
        _ticks(axes.set_yticks, rows)
        _ticks(axes.set_xticks, columns)
        if upright:
            axes.tick_params(axis="x", rotation=90)
        axes.set_ylabel(axis_labels[0])
        axes.set_xlabel(axis_labels[1])
        axes.grid(visible=False)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        if text:
            _write(axes, values, colours, text)

    longest = max((len(printable(c)) for c in columns), default=0) if upright else 2
    size = (cell * width + 0.9, cell * height + 0.5 + 0.075 * longest)
    return draw(name, label, size, paint)


def png_uri(colours: Matrix) -> str:
    """A tiny picture as data URI, one pixel per cell."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.round(colours * 255).astype(np.uint8), "RGBA").save(buffer, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _write(axes: "Axes", values: Matrix, colours: Matrix, text: Callable[[float], str]) -> None:
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            pale = colours[row, column, 3] < _PALE
            axes.text(
                column,
                row,
                text(float(value)),
                ha="center",
                va="center",
                fontsize=_CELL_TEXT,
                in_layout=False,
                color=Ink.TEXT if pale else _WHITE,
            )


def _ticks(set_ticks: Callable[..., object], labels: Sequence[str]) -> None:
    step = -(-len(labels) // _MOST_LABELS)
    set_ticks(range(0, len(labels), step), [printable(label) for label in labels[::step]])
