"""Encoded images become upright RGB, whatever their mode, if their format and size are safe.

No format is read that has another program run: Pillow takes a file for what its bytes say, and of
an EPS called `a.jpg` it would have Ghostscript execute the PostScript. No image is decoded that
would fill the memory, as it is or once it is scaled for an encoder.
"""

import errno
import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedmvp_flwr.base.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"),
    *("PPM", "JPEG2000", "AVIF", "ICO", "TGA", "PCX"),
)
MAX_PIXELS = 89_478_485  # a quarter of a GiB in RGB; where Pillow begins to warn of bombs
# Encoders scale the shortest side to theirs and crop after that, so a 1 x 1,000,000 strip would
# grow to 512 x 512,000,000. At this ratio every shortest side up to 945 stays below MAX_PIXELS.
MAX_ASPECT_RATIO = 100
MAX_BYTES = 2**29  # so many take MAX_PIXELS in RGB with 16 bits each, uncompressed

_WIDE_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_SIXTEEN_BITS = 65535
_BAND = 2**20  # values that are scaled at a time: in float64, a whole image takes a GB


class TooManyPixelsError(DataError):
    """An image is larger or longer than any real one: it would fill the memory."""


def read_image_file(path: Path) -> bytes:
    """Read an image file; raises an OSError, also where it is larger than any real image."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise OSError(errno.EFBIG, f"{size:,} bytes, more than the {MAX_BYTES:,} that are allowed")
    return path.read_bytes()


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
            image.load()
            decoded = to_rgb(ImageOps.exif_transpose(image))
            require_few_pixels(decoded)  # a container (ICO) may hold a larger image than it says
            return decoded
    except (TooManyPixelsError, Image.DecompressionBombError) as error:
        raise TooManyPixelsError(f"Image '{name}': {error}") from error
    except Exception as error:  # Pillow's plug-ins raise whatever a damaged file leads them to
        raise DataError(
            f"Image '{name}' cannot be decoded ({reason(error)}). Repair or remove it."
        ) from error


def open_image(content: bytes) -> "Image":
    """Open an encoded image, without decoding it, if its header says that it is not too large.

    Raises:
        TooManyPixelsError: it is.
        Exception: whatever Pillow raises.
    """
    from PIL import Image

    image = Image.open(io.BytesIO(content), formats=_known_formats())
    require_few_pixels(image)
    return image


@cache
def _known_formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow can read."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def require_few_pixels(image: "Image") -> None:
    """Raise a TooManyPixelsError beyond `MAX_PIXELS` or `MAX_ASPECT_RATIO`."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise TooManyPixelsError(
            f"{width} x {height} pixels, more than the {MAX_PIXELS:,} that are allowed"
        )
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise TooManyPixelsError(
            f"{width} x {height} pixels: more than {MAX_ASPECT_RATIO} times as long as wide, which "
            "would be too many pixels once its shortest side is scaled for an encoder"
        )


def reason(error: Exception) -> str:
    """What Pillow says of an image that it cannot decode."""
    text = " ".join(str(error).split()).replace("<_io.BytesIO object at ", "<")
    if "cannot identify" in text:
        return f"no known image format; those that are read are {', '.join(FORMATS)}"
    return text or repr(error)


def to_rgb(image: "Image") -> "Image":
    """Convert an image of any mode to RGB; one that is RGB is returned itself."""
    from PIL import Image

    if image.mode in _WIDE_MODES:
        return Image.fromarray(_eight_bits(np.asarray(image), image.mode)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(values: NDArray[Any], mode: str) -> NDArray[np.uint8]:
    """Scale wide grey values (H, W), of Pillow's mode `mode`, to 0 ... 255."""
    rows = max(_BAND // values.shape[1], 1)
    bands = [slice(first, first + rows) for first in range(0, values.shape[0], rows)]
    low = min(float(_finite(values[band]).min()) for band in bands)
    high = max(float(_finite(values[band]).max()) for band in bands)
    if mode != "F" and low >= 0 and high <= _SIXTEEN_BITS:
        # Pillow opens some 16-bit files as "I"; one that stays within 8 bits is 8-bit.
        low, high = 0.0, float(_SIXTEEN_BITS if high > 255 or mode != "I" else 255)
    scaled = np.empty(values.shape, dtype=np.uint8)
    for band in bands:
        share = (_finite(values[band]) - low) / max(high - low, np.finfo(np.float64).tiny)
        scaled[band] = (share * 255).round()
    return scaled


def _finite(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
