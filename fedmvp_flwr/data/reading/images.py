"""Image files as they come: decoded to upright RGB, whatever their mode, within a pixel limit."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading.image_formats import FORMATS, open_image
from fedmvp_flwr.data.reading.image_limits import (
    TooManyPixelsError,
    own_turn,
    read_file,
    require_few_pixels,
)
from fedmvp_flwr.data.reading.image_modes import to_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

_CHECK_SIZE = (64, 64)  # JPEGs are decoded at an eighth for the check, not below this
_ORIENTATION = 0x0112  # EXIF tag


class ImageCheck(NamedTuple):
    """What one look at an image's bytes told.

    Attributes:
        digest: hex SHA-256 of the bytes; "" if they cannot be read.
        brightness: mean grey value in [0, 1]; -1 if it cannot be decoded.
        problem: what is wrong with it, or "".
        bomb: whether the problem is its number of pixels, as it is or once it is scaled.
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
        read: returns the encoded bytes; may raise an OSError.
        name: how the user knows it, for messages.
        known: what a check told about it, if there was one.
    """

    read: Callable[[], bytes] = field(compare=False, repr=False)
    name: str
    known: ImageCheck | None = None

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the bytes."""
        return self.known.digest if self.known else hashlib.sha256(self._content()).hexdigest()

    @property
    def brightness(self) -> float:
        """Mean grey value in [0, 1]."""
        return (self.known or check_image(self._content())).brightness

    def load(self) -> "Image":
        """Decode it to upright RGB; raises a DataError that names the row."""
        return decode_image(self._content(), self.name)

    def _content(self) -> bytes:
        return _read(self.read, self.name)


def read_bytes(path: Path, name: str) -> bytes:
    """Read a file; raises a DataError that names it."""
    return _read(lambda: read_file(path), name)


def decode_image(content: bytes, name: str) -> "Image":
    """Decode the first frame of an image to upright RGB.

    Alpha is laid over white; 16-bit and floating-point grey values are scaled to 8 bits.

    Raises:
        DataError: no image, a truncated one, or one of more than `MAX_PIXELS` or beyond
            `MAX_ASPECT_RATIO`; names it.
    """
    from PIL import Image, ImageOps

    try:
        with open_image(content) as image:
            require_few_pixels(image)
            image.load()
            decoded = to_rgb(ImageOps.exif_transpose(image))
            require_few_pixels(decoded)  # a container (ICO) may hold a larger image than it says
            return decoded
    except TooManyPixelsError as error:
        raise TooManyPixelsError(f"Image '{name}': {error}") from error
    except Image.DecompressionBombError as error:
        raise TooManyPixelsError(f"Image '{name}' has too many pixels ({error}).") from error
    except Exception as error:  # Pillow's plug-ins raise whatever a damaged file leads them to
        raise DataError(
            f"Image '{name}' cannot be decoded ({_reason(error)}). Repair or remove it."
        ) from error


def check_image(content: bytes) -> ImageCheck:
    """Decode an image as cheaply as will show whether it is whole; never raises.

    Of large ones, only one is decoded at a time, however many threads check images.
    """
    from PIL import Image

    digest = hashlib.sha256(content).hexdigest()
    try:
        with open_image(content) as image:
            require_few_pixels(image)
            mode, animated = image.mode, bool(getattr(image, "is_animated", False))
            image.draft("L", _CHECK_SIZE)
            with own_turn(image):
                rotated = image.getexif().get(_ORIENTATION, 1) not in (0, 1)  # may decode it
                image.load()
                grey = image if image.mode == "L" else to_rgb(image).convert("L")
                require_few_pixels(grey)  # see decode_image
                brightness = float(np.asarray(grey, dtype=np.float32).mean()) / 255
    except (TooManyPixelsError, Image.DecompressionBombError) as error:
        return ImageCheck(digest, -1.0, str(error), bomb=True)
    except Exception as error:  # see decode_image
        return ImageCheck(digest, -1.0, _reason(error))
    converted = "" if mode == "RGB" else mode
    return ImageCheck(digest, brightness, "", False, rotated, converted, animated)


def unreadable(error: OSError) -> ImageCheck:
    """The verdict on an image whose bytes cannot be read."""
    return ImageCheck("", -1.0, f"cannot be read: {error.strerror or error}")


def _read(read: Callable[[], bytes], name: str) -> bytes:
    try:
        return read()
    except OSError as error:
        raise DataError(f"Image '{name}' cannot be read ({error.strerror or error}).") from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()).replace("<_io.BytesIO object at ", "<")
    if "cannot identify" in text:
        return f"no known image format; those that are read are {', '.join(FORMATS)}"
    return text or repr(error)
