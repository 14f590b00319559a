"""A picture of completed samples beside their originals, for a README or a slide."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmvp_flwr.base.errors import ReportError
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.reporting.html import require_report_extra
from fedmvp_flwr.reporting.sections.completions import Sample, load_samples
from fedmvp_flwr.reporting.svg import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

_ROWS = 3  # samples of each kind
_DPI = 150
_WIDTH, _PICTURE, _GAP, _HEAD = 11.0, 1.45, 0.16, 0.9  # inches
_TEXT_FROM_IMAGE = 5.75  # inches from the left, where the second half begins
_LINE = 29  # characters
_MOST_LINES = 4
_LINE_HEIGHT = 0.19  # inches
_MOST_CHARACTERS = 400
_PIXELATED_UP_TO = 96  # pixels; larger pictures are smoothed
_FONT_SIZE, _HEAD_SIZE = 9.5, 13.0  # points
_DARK, _GREY, _BLUE = "#1c1d1f", "#5a5d63", "#0072b2"


def write_completion_picture(out_dir: Path, path: Path) -> Path:
    """Write a PNG of a few completed samples of a run beside the originals; return its path.

    Samples that passed the quality gate come first.

    Args:
        out_dir: folder of a run that completed samples.
        path: the PNG file; its folder exists.

    Raises:
        ReportError: the extra `report` is not installed, the run saved no completed sample with
            its pictures, or the file cannot be written.
    """
    require_report_extra()
    samples = sorted(load_samples(out_dir), key=lambda sample: not sample.accepted)
    images = [s for s in samples if s.filled == "image" and s.made_image and s.original_image]
    texts = [s for s in samples if s.filled == "text" and s.made_text and s.original_image]
    if not images and not texts:
        raise ReportError(
            f"{RunFolder(out_dir).completions} holds no completed sample to show: run with "
            "completion='foundation' first."
        )
    try:
        _paint(images[:_ROWS], texts[:_ROWS], path)
    except OSError as error:
        raise ReportError(f"The picture {path} cannot be written: {error.strerror}.") from error
    return path


def _paint(images: list[Sample], texts: list[Sample], path: Path) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = max(len(images), len(texts))
    height = _HEAD + rows * (_PICTURE + _GAP)
    settings: Any = {"text.parse_math": False, "font.family": "DejaVu Sans"}
    with rc_context(settings):
        sheet = _Sheet(Figure(figsize=(_WIDTH, height), facecolor="white"), height)
        step = _PICTURE + _GAP
        if images:
            sheet.head(_GAP, "Image missing: made from the text")
            for x, name in ((0, "Generated"), (step, "Original"), (2 * step, "Text, given")):
                sheet.line(_GAP + x, _HEAD - 0.17, name, _BLUE if not x else _GREY)
        if texts:
            sheet.head(_TEXT_FROM_IMAGE, "Text missing: made from the image")
            sheet.line(_TEXT_FROM_IMAGE, _HEAD - 0.17, "Image, given", _GREY)
        for row in range(rows):
            top = _HEAD + row * step
            if row < len(images):
                sample = images[row]
                sheet.image(_GAP, top, sample.made_image, framed=True)
                sheet.image(_GAP + step, top, sample.original_image)
                sheet.text(_GAP + 2 * step, top, [("", sample.original_text, _DARK)])
            if row < len(texts):
                sample = texts[row]
                sheet.image(_TEXT_FROM_IMAGE, top, sample.original_image)
                parts = [
                    ("Generated: ", sample.made_text, _BLUE),
                    ("Original: ", sample.original_text, _GREY),
                ]
                sheet.text(_TEXT_FROM_IMAGE + step, top, parts, width=_LINE + 14)
        sheet.figure.savefig(path, dpi=_DPI, format="png", metadata={"Software": None})


class _Sheet:
    """A figure that is drawn on in inches from its left and upper edge."""

    def __init__(self, figure: "Figure", height: float) -> None:
        self.figure = figure
        self._height = height

    def head(self, x: float, text: str) -> None:
        self.line(x, 0.4, text, _DARK, _HEAD_SIZE, "bold")

    def line(
        self,
        x: float,
        y: float,
        text: str,
        colour: str,
        size: float = _FONT_SIZE,
        weight: str = "normal",
    ) -> None:
        position = (x / _WIDTH, 1 - y / self._height)
        self.figure.text(*position, text, color=colour, fontsize=size, fontweight=weight)

    def image(self, x: float, top: float, image: "Image | None", framed: bool = False) -> None:
        if image is None:
            return
        bottom = 1 - (top + _PICTURE) / self._height
        axes = self.figure.add_axes(
            (x / _WIDTH, bottom, _PICTURE / _WIDTH, _PICTURE / self._height)
        )
        axes.imshow(image, interpolation="nearest" if image.width <= _PIXELATED_UP_TO else None)
        axes.set(xticks=[], yticks=[], anchor="NW")
        for spine in axes.spines.values():
            spine.set(color=_BLUE, linewidth=2.5, visible=framed)

    def text(
        self, x: float, top: float, parts: list[tuple[str, str, str]], width: int = _LINE
    ) -> None:
        y = top + _LINE_HEIGHT
        for prefix, text, colour in parts:
            lines = textwrap.wrap(prefix + printable(text, _MOST_CHARACTERS), width)
            if len(lines) > _MOST_LINES:
                lines = [*lines[: _MOST_LINES - 1], lines[_MOST_LINES - 1] + " …"]
            for line in lines:
                self.line(x, y, line, colour)
                y += _LINE_HEIGHT
            y += _LINE_HEIGHT / 2
