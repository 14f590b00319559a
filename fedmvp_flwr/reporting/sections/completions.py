"""Completed samples beside their originals."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.reporting.run_record import RunRecord, read_json
from fedmvp_flwr.reporting.svg import printable
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
    if not path.exists():
        return []
    return [_card(row, path.parent) for row in read_json(path)["completions"][:_MOST]]


def _card(row: dict[str, Any], folder: Path) -> Card:
    return Card(
        class_name=row["class-name"],
        filled="image" if row["source"] == "text" else "text",
        original_image=_picture(row["original-image"], folder),
        original_text=printable(row["original-text"] or "", _MOST_TEXT),
        made_image=_picture(row["generated-image"], folder),
        made_text=printable(row["generated-text"] or "", _MOST_TEXT),
        similarity=decimal(row["similarity"], 2),
        accepted=row["accepted"],
    )


def _picture(name: str | None, folder: Path) -> str | None:
    from PIL import Image

    if not name or Path(name).name != name:
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
