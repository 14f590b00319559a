"""How large an image may be, in bytes and in pixels, and that large ones take turns."""

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fedmvp_flwr.base.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 89_478_485  # a quarter of a GiB in RGB; where Pillow begins to warn of bombs
# Encoders scale the shortest side to theirs and crop after that, so a 1 x 1,000,000 strip would
# grow to 512 x 512,000,000. At this ratio every shortest side up to 945 stays below MAX_PIXELS.
MAX_ASPECT_RATIO = 100
MAX_BYTES = 2**29  # so many take MAX_PIXELS in RGB with 16 bits each, uncompressed
_MANY_PIXELS = 16_000_000  # decoding more takes some hundred MB, too much for several at once
_ONE_AT_A_TIME = threading.Lock()


class TooManyPixelsError(DataError):
    """An image is larger or longer than any real one: it would fill the memory."""


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


def read_file(path: Path) -> bytes:
    """Read an image file; raises an OSError, also where it is larger than any real image."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise OSError(errno.EFBIG, f"{size:,} bytes, more than the {MAX_BYTES:,} that are allowed")
    return path.read_bytes()


@contextmanager
def own_turn(image: "Image") -> Iterator[None]:
    """Wait, before a large image is decoded, until no other thread decodes one."""
    if image.width * image.height <= _MANY_PIXELS:
        yield
        return
    with _ONE_AT_A_TIME:
        yield
