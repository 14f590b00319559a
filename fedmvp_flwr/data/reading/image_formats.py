"""Which image formats are read: none that has another program run.

Pillow takes a file for what its bytes say, whatever its name: of an EPS called `a.jpg` it would
have Ghostscript execute the PostScript.
"""

import io
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "GIF",
    "BMP",
    "TIFF",
    "PPM",
    "JPEG2000",
    "AVIF",
    "ICO",
    "TGA",
    "PCX",
)


def open_image(content: bytes) -> "Image":
    """Open an encoded image without decoding it; raises whatever Pillow does."""
    from PIL import Image

    return Image.open(io.BytesIO(content), formats=_known())


@cache
def _known() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow can read."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)
