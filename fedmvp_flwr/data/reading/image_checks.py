"""Looks at every image of a data set once ever: the verdicts are kept beside the features.

A file is known by name, size and time of change, so that a second start opens no image.
"""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from fedmvp_flwr.base.files import record_hash, write_atomic
from fedmvp_flwr.data.reading.cells import printable
from fedmvp_flwr.data.reading.image_limits import read_file
from fedmvp_flwr.data.reading.images import ImageCheck, check_image, unreadable

_VERSION = 3  # raise it when a check would judge otherwise
_THREADS = 4
_FOLDER = "image-checks"


def check_files(root: Path, names: Sequence[str], cache_dir: Path | None) -> list[ImageCheck]:
    """Check the image files `root`/name; those that did not change since last time are not read.

    A file that cannot be read is an image with a problem, which is not remembered.

    Args:
        root: folder of the data set.
        names: relative names of the files.
        cache_dir: folder of the feature store, where the verdicts are kept; None keeps none.
    """
    keys = [_file_key(root / name, name) for name in names]
    return _check(keys, lambda i: read_file(root / names[i]), cache_dir, printable(str(root)))


def check_contents(
    keys: Sequence[str], read: Callable[[int], bytes], cache_dir: Path | None, source: str
) -> list[ImageCheck]:
    """Check images that lie in a table.

    Args:
        keys: one per image, which changes when the image may have changed.
        read: index -> encoded bytes; an OSError is a problem of that image alone.
        cache_dir: folder of the feature store; None keeps no verdicts.
        source: name of the table.
    """
    return _check(keys, read, cache_dir, source)


def _check(
    keys: Sequence[str | None],
    read: Callable[[int], bytes],
    cache_dir: Path | None,
    source: str,
) -> list[ImageCheck]:
    """Check what is not known yet; the key None is never known."""
    record = record_hash({"source": source, "version": _VERSION})
    path = cache_dir / _FOLDER / f"{record}.json" if cache_dir else None
    known = _load(path)
    checks = [known.get(key) if key is not None else None for key in keys]
    new = [index for index, check in enumerate(checks) if check is None]
    threads = min(_THREADS, os.cpu_count() or 1)  # Pillow decodes without the GIL
    with ThreadPoolExecutor(threads) as pool:
        made = dict(zip(new, pool.map(lambda index: _look(read, index), new), strict=True))
    lasting = {
        key: check for i, check in made.items() if (key := keys[i]) is not None and check.digest
    }
    if lasting and path:
        content = json.dumps({key: list(check) for key, check in (known | lasting).items()})
        with suppress(OSError):  # a folder that cannot be written is the preflight's to report
            write_atomic(path, content.encode())
    return [check or made[index] for index, check in enumerate(checks)]


def _look(read: Callable[[int], bytes], index: int) -> ImageCheck:
    try:
        return check_image(read(index))
    except OSError as error:
        return unreadable(error)


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
