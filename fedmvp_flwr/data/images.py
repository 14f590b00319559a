"""Image files as they come: decoded to upright RGB, whatever their mode, within a pixel limit."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fedmvp_flwr.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 89_478_485  # a quarter of a GiB in RGB; where Pillow begins to warn of bombs
_CHECK_SIZE = (64, 64)  # JPEGs are decoded at an eighth for the check, not below this
_ORIENTATION = 0x0112  # EXIF tag
_WIDE_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_SIXTEEN_BITS = 65535


class TooManyPixelsError(DataError):
    """An image is larger than any real one: it would fill the memory."""


class ImageCheck(NamedTuple):
    """What one look at an image's bytes told.

    Attributes:
        digest: hex SHA-256 of the bytes.
        brightness: mean grey value in [0, 1]; -1 if it cannot be decoded.
        problem: what is wrong with it, or "".
        bomb: whether the problem is its number of pixels.
        rotated: whether EXIF asks for a rotation.
        converted: its mode, where it is not RGB.
        animated: whether it has more than one frame.
    """

    digest: str
    brightness: float
    problem: str = ""
    bomb: bool = False
    rotated: bool = False
    converted: str = ""
    animated: bool = False


@dataclass(frozen=True)
class FileImage:
    """An image in a file.

    Attributes:
        path: the file.
        name: how the user knows it, for messages.
        known: what a check told about it, if there was one.
    """

    path: Path
    name: str
    known: ImageCheck | None = field(default=None, compare=False)

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the file's bytes."""
        if self.known:
            return self.known.digest
        return hashlib.sha256(read_bytes(self.path, self.name)).hexdigest()

    @property
    def brightness(self) -> float:
        """Mean grey value in [0, 1]."""
        return (self.known or check_image(read_bytes(self.path, self.name))).brightness

    def load(self) -> "Image":
        """Decode it to upright RGB; raises a DataError that names the file."""
        return decode_image(read_bytes(self.path, self.name), self.name)


@dataclass(frozen=True)
class TableImage:
    """An image whose encoded bytes lie in a table.

    Attributes:
        read: returns the encoded bytes.
        name: how the user knows it, for messages.
        known: what a check told about it, if there was one.
    """

    read: Callable[[], bytes] = field(compare=False, repr=False)
    name: str
    known: ImageCheck | None = None

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the bytes."""
        return self.known.digest if self.known else hashlib.sha256(self.read()).hexdigest()

    @property
    def brightness(self) -> float:
        """Mean grey value in [0, 1]."""
        return (self.known or check_image(self.read())).brightness

    def load(self) -> "Image":
        """Decode it to upright RGB; raises a DataError that names the row."""
        return decode_image(self.read(), self.name)


def read_bytes(path: Path, name: str) -> bytes:
    """Read a file; raises a DataError that names it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"Image '{name}' cannot be read ({error.strerror}).") from error


def decode_image(content: bytes, name: str) -> "Image":
    """Decode the first frame of an image to upright RGB.

    Alpha is laid over white; 16-bit and floating-point grey values are scaled to 8 bits.

    Raises:
        DataError: no image, a truncated one, or one of more than `MAX_PIXELS`; names it.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(content)) as image:
            _guard(image)
            image.load()
            return to_rgb(ImageOps.exif_transpose(image))
    except TooManyPixelsError as error:
        raise TooManyPixelsError(f"Image '{name}': {error}") from error
    except Image.DecompressionBombError as error:
        raise TooManyPixelsError(f"Image '{name}' has too many pixels ({error}).") from error
    except Exception as error:  # Pillow's plug-ins raise whatever a damaged file leads them to
        raise DataError(
            f"Image '{name}' cannot be decoded ({_reason(error)}). Repair or remove it."
        ) from error


def check_image(content: bytes) -> ImageCheck:
    """Decode an image as cheaply as will show whether it is whole; never raises."""
    from PIL import Image

    digest = hashlib.sha256(content).hexdigest()
    try:
        with Image.open(io.BytesIO(content)) as image:
            _guard(image)
            mode, animated = image.mode, bool(getattr(image, "is_animated", False))
            rotated = image.getexif().get(_ORIENTATION, 1) not in (0, 1)
            image.draft("L", _CHECK_SIZE)
            image.load()
            grey = image if image.mode == "L" else to_rgb(image).convert("L")
            brightness = float(np.asarray(grey, dtype=np.float32).mean()) / 255
    except (TooManyPixelsError, Image.DecompressionBombError) as error:
        return ImageCheck(digest, -1.0, str(error), bomb=True)
    except Exception as error:  # see decode_image
        return ImageCheck(digest, -1.0, _reason(error))
    converted = "" if mode == "RGB" else mode
    return ImageCheck(digest, brightness, "", False, rotated, converted, animated)


def to_rgb(image: "Image") -> "Image":
    """Convert an image of any mode to RGB."""
    from PIL import Image

    if image.mode in _WIDE_MODES:
        values = np.asarray(image, dtype=np.float64)
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        low, high = float(values.min()), float(values.max())
        if image.mode != "F" and low >= 0 and high <= _SIXTEEN_BITS:
            # Pillow opens some 16-bit files as "I"; one that stays within 8 bits is 8-bit.
            low, high = 0.0, float(_SIXTEEN_BITS if high > 255 or image.mode != "I" else 255)
        scaled = (values - low) / max(high - low, np.finfo(np.float64).tiny) * 255
        return Image.fromarray(scaled.round().astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")


def _guard(image: "Image") -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise TooManyPixelsError(
            f"{width} x {height} pixels, more than the {MAX_PIXELS:,} that are allowed"
        )


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()).replace("<_io.BytesIO object at ", "<")
    return "no known image format" if "cannot identify" in text else text or repr(error)
