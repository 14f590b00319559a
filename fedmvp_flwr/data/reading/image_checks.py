"""Looks at every image of a data set once ever: the verdicts are kept beside the features.

A file is known by name, size and time of change, so that a second start opens no image.
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.files import record_hash, write_atomic
from fedmvp_flwr.data.reading.cells import printable
from fedmvp_flwr.data.reading.image_decoding import (
    TooManyPixelsError,
    decode_image,
    open_image,
    read_image_file,
    reason,
    require_few_pixels,
    to_rgb,
)

if TYPE_CHECKING:
    from PIL.Image import Image

_VERSION = 3  # raise it when a check would judge otherwise
_THREADS = 4
_FOLDER = "image-checks"
_CHECK_SIZE = (64, 64)  # JPEGs are decoded at an eighth for the check, not below this
_ORIENTATION = 0x0112  # EXIF tag
_MANY_PIXELS = 16_000_000  # decoding more takes some hundred MB, too much for several at once
_ONE_AT_A_TIME = threading.Lock()


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
class CheckedImage:
    """An encoded image in a file or a table.

    Attributes:
        name: how the user knows it, for messages.
        check: what a look at it told.
        read: returns the encoded bytes; may raise an OSError.
    """

    name: str
    check: ImageCheck
    read: Callable[[], bytes] = field(compare=False, repr=False)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the bytes."""
        return self.check.digest

    @property
    def brightness(self) -> float:
        """Mean grey value in [0, 1]."""
        return self.check.brightness

    def load(self) -> "Image":
        """Decode it to upright RGB; raises a DataError that names it."""
        try:
            content = self.read()
        except OSError as error:
            what = error.strerror or error
            raise DataError(f"Image '{self.name}' cannot be read ({what}).") from error
        return decode_image(content, self.name)


def check_image(content: bytes) -> ImageCheck:
    """Decode an image as cheaply as will show whether it is whole; never raises.

    Of large ones, only one is decoded at a time, however many threads check images.
    """
    from PIL import Image

    digest = hashlib.sha256(content).hexdigest()
    try:
        with open_image(content) as image:
            mode, animated = image.mode, bool(getattr(image, "is_animated", False))
            image.draft("L", _CHECK_SIZE)
            large = image.width * image.height > _MANY_PIXELS
            with _ONE_AT_A_TIME if large else nullcontext():
                rotated = image.getexif().get(_ORIENTATION, 1) not in (0, 1)  # may decode it
                image.load()
                grey = image if image.mode == "L" else to_rgb(image).convert("L")
                require_few_pixels(grey)  # see decode_image
                brightness = float(np.asarray(grey, dtype=np.float32).mean()) / 255
    except (TooManyPixelsError, Image.DecompressionBombError) as error:
        return ImageCheck(digest, -1.0, str(error), bomb=True)
    except Exception as error:  # see decode_image
        return ImageCheck(digest, -1.0, reason(error))
    converted = "" if mode == "RGB" else mode
    return ImageCheck(digest, brightness, "", False, rotated, converted, animated)


def check_files(root: Path, names: Sequence[str], cache: Path | None) -> list[CheckedImage]:
    """Check the image files `root`/name; those that did not change since last time are not read.

    A file that cannot be read is an image with a problem, which is not remembered.

    Args:
        root: folder of the data set.
        names: relative names of the files.
        cache: folder of the feature store, where the verdicts are kept; None keeps none.
    """
    reads = [partial(read_image_file, root / name) for name in names]
    keys = [_file_key(root / name, name) for name in names]
    shown = [printable(name) for name in names]
    return check_contents(keys, shown, reads, cache, printable(str(root)))


def check_contents(
    keys: Sequence[str | None],
    names: Sequence[str],
    reads: Sequence[Callable[[], bytes]],
    cache: Path | None,
    source: str,
) -> list[CheckedImage]:
    """Check those images that are not known yet.

    Args:
        keys: one per image, which changes when the image may have changed; None is never known.
        names: how messages call them.
        reads: return the encoded bytes; an OSError is a problem of that image alone.
        cache: folder of the feature store; None keeps no verdicts.
        source: name of the folder or table.
    """
    record = record_hash({"source": source, "version": _VERSION})
    path = cache / _FOLDER / f"{record}.json" if cache else None
    known = _load(path)
    new = [index for index, key in enumerate(keys) if key is None or key not in known]
    threads = min(_THREADS, os.cpu_count() or 1)  # Pillow decodes without the GIL
    with ThreadPoolExecutor(threads) as pool:
        made = dict(zip(new, pool.map(_look, (reads[index] for index in new)), strict=True))
    lasting = {
        key: check for i, check in made.items() if (key := keys[i]) is not None and check.digest
    }
    if lasting and path:
        content = json.dumps({key: list(check) for key, check in (known | lasting).items()})
        with suppress(OSError):  # a folder that cannot be written is the preflight's to report
            write_atomic(path, content.encode())
    return [
        CheckedImage(names[i], made[i] if i in made else known[key or ""], reads[i])
        for i, key in enumerate(keys)
    ]


def _look(read: Callable[[], bytes]) -> ImageCheck:
    try:
        return check_image(read())
    except OSError as error:
        return ImageCheck("", -1.0, f"cannot be read: {error.strerror or error}")


def _load(path: Path | None) -> dict[str, ImageCheck]:
    if path is None:
        return {}
    try:
        return {key: ImageCheck(*values) for key, values in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):  # none yet, or damaged: look again
        return {}


def _file_key(path: Path, name: str) -> str | None:
    try:
        status = path.stat()
    except OSError:  # it vanished; reading it will tell
        return None
    return f"{name}|{status.st_size}|{status.st_mtime_ns}"
