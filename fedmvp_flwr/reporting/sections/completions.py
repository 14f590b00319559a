"""Completed samples beside their originals."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.reporting.events import RunRecord, number, read_json
from fedmvp_flwr.reporting.text import decimal

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST = 12
_FORMATS = ("PNG",)  # what a run writes; Pillow has other programs read some formats
_SIDE = 256  # pixels; larger pictures are shrunk
_PNG_UP_TO = 96  # pixels; larger ones are photographs, which JPEG holds in less
_JPEG_QUALITY = 85
_MOST_TEXT = 600  # characters


@dataclass(frozen=True)
class Sample:
    """A completed sample.

    Attributes:
        class_name: its true class.
        filled: the modality that was completed, `image` or `text`.
        original_image: the real image, None where there is none or it cannot be read.
        original_text: the real text, or empty.
        made_image: the generated image, None for a text.
        made_text: the generated text, empty for an image.
        similarity: image-text similarity that the quality gate judged, None if unknown.
        accepted: whether it passed the gate.
    """

    class_name: str
    filled: str
    original_image: "Image | None"
    original_text: str
    made_image: "Image | None"
    made_text: str
    similarity: float | None
    accepted: bool


@dataclass(frozen=True)
class Card:
    """A completed sample as the page shows it; pictures are data URIs, None where unknown."""

    class_name: str
    filled: str
    original_image: str | None
    original_text: str
    made_image: str | None
    made_text: str
    similarity: str
    accepted: bool


def build(run: RunRecord, out_dir: Path) -> list[Card]:
    """Cards of the completed samples; none for a run without completion."""
    if run.config.get("completion") == "none":
        return []
    return [
        Card(
            sample.class_name,
            sample.filled,
            _uri(sample.original_image),
            sample.original_text,
            _uri(sample.made_image),
            sample.made_text,
            decimal(sample.similarity, 2),
            sample.accepted,
        )
        for sample in load_samples(out_dir)[:_MOST]
    ]


def load_samples(out_dir: Path) -> list[Sample]:
    """Read the completed samples of a run; empty where it saved none.

    Pictures that are missing, damaged, no PNG or outside the folder are left out.

    Raises:
        ReportError: the index is no JSON.
    """
    path = RunFolder(out_dir).completions_index
    if not path.exists():
        return []
    index = read_json(path)
    rows = index.get("completions") if isinstance(index, dict) else index
    if not isinstance(rows, list):
        return []
    return [_sample(row, path.parent) for row in rows if isinstance(row, dict)]


def _sample(row: dict[str, Any], folder: Path) -> Sample:
    return Sample(
        class_name=str(row.get("class-name") or ""),
        filled="image" if row.get("source") == "text" else "text",
        original_image=_picture(row.get("original-image"), folder),
        original_text=_shorten(row.get("original-text")),
        made_image=_picture(row.get("generated-image"), folder),
        made_text=_shorten(row.get("generated-text")),
        similarity=number(row.get("similarity")),
        accepted=bool(row.get("accepted")),
    )


def _picture(name: object, folder: Path) -> "Image | None":
    from PIL import Image

    if not isinstance(name, str) or not name or Path(name).name != name:
        return None
    try:
        with Image.open(folder / name, formats=_FORMATS) as image:
            image.thumbnail((_SIDE, _SIDE))
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _uri(image: "Image | None") -> str | None:
    if image is None:
        return None
    kind = "png" if max(image.size) <= _PNG_UP_TO else "jpeg"
    buffer = io.BytesIO()
    image.save(buffer, format=kind, optimize=True, quality=_JPEG_QUALITY)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()


def _shorten(text: object) -> str:
    if not isinstance(text, str):
        return ""
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + "…"
