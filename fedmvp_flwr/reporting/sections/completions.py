"""Completed samples beside their originals."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.reporting.events import RunRecord, mapping, read_json
from fedmvp_flwr.reporting.text import decimal

_MOST = 12
_FORMATS = ("PNG",)  # what a run writes; Pillow has other programs read some formats
_SIDE = 256  # pixels; larger pictures are shrunk
_PNG_UP_TO = 96  # pixels; larger ones are photographs, which JPEG holds in less
_JPEG_QUALITY = 85
_MOST_TEXT = 600  # characters


@dataclass(frozen=True)
class Card:
    """A completed sample.

    Attributes:
        class_name: its true class.
        filled: the modality that was completed, `image` or `text`.
        original_image: the real image as a data URI, None where it cannot be read.
        original_text: the real text, or empty.
        made_image: the generated image as a data URI, None for a text.
        made_text: the generated text, empty for an image.
        similarity: image-text similarity that the quality gate judged.
        accepted: whether it passed the gate.
    """

    class_name: str
    filled: str
    original_image: str | None
    original_text: str
    made_image: str | None
    made_text: str
    similarity: str
    accepted: bool


def build(run: RunRecord, out_dir: Path) -> list[Card]:
    """Cards of the completed samples; none for a run without completion.

    Pictures that are missing, damaged, no PNG or outside the folder are left out.

    Raises:
        ReportError: the index is no JSON.
    """
    path = RunFolder(out_dir).completions_index
    if run.config.get("completion") == "none" or not path.exists():
        return []
    rows = mapping(read_json(path)).get("completions")
    if not isinstance(rows, list):
        return []
    return [_card(row, path.parent) for row in rows[:_MOST] if isinstance(row, dict)]


def _card(row: dict[str, Any], folder: Path) -> Card:
    return Card(
        class_name=str(row.get("class-name") or ""),
        filled="image" if row.get("source") == "text" else "text",
        original_image=_picture(row.get("original-image"), folder),
        original_text=_shorten(row.get("original-text")),
        made_image=_picture(row.get("generated-image"), folder),
        made_text=_shorten(row.get("generated-text")),
        similarity=decimal(row.get("similarity"), 2),
        accepted=bool(row.get("accepted")),
    )


def _picture(name: object, folder: Path) -> str | None:
    from PIL import Image

    if not isinstance(name, str) or not name or Path(name).name != name:
        return None
    buffer = io.BytesIO()
    try:
        with Image.open(folder / name, formats=_FORMATS) as image:
            image.thumbnail((_SIDE, _SIDE))
            kind = "png" if max(image.size) <= _PNG_UP_TO else "jpeg"
            image.convert("RGB").save(buffer, format=kind, optimize=True, quality=_JPEG_QUALITY)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()


def _shorten(text: object) -> str:
    if not isinstance(text, str):
        return ""
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + "…"
