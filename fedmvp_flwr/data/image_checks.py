"""Looks at every image of a data set once ever: the verdicts are kept beside the features.

A file is known by name, size and time of change, so that a second start opens no image.
"""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from fedmvp_flwr.data.images import ImageCheck, check_image, read_bytes
from fedmvp_flwr.data.records import record_hash, write_atomic

_VERSION = 1  # raise it when a check would judge otherwise
_THREADS = 4
_FOLDER = "image-checks"


def check_files(root: Path, names: Sequence[str], cache_dir: Path | None) -> list[ImageCheck]:
    """Check the image files `root`/name; those that did not change since last time are not read.

    Args:
        root: folder of the data set.
        names: relative names of existing files.
        cache_dir: folder of the feature store, where the verdicts are kept; None keeps none.
    """
    keys = [_file_key(root / name, name) for name in names]
    return _check(keys, lambda i: read_bytes(root / names[i], names[i]), cache_dir, str(root))


def check_contents(
    keys: Sequence[str], read: Callable[[int], bytes], cache_dir: Path | None, source: str
) -> list[ImageCheck]:
    """Check images that lie in a table.

    Args:
        keys: one per image, which changes when the image may have changed.
        read: index -> encoded bytes.
        cache_dir: folder of the feature store; None keeps no verdicts.
        source: name of the table.
    """
    return _check(keys, read, cache_dir, source)


def _check(
    keys: Sequence[str], read: Callable[[int], bytes], cache_dir: Path | None, source: str
) -> list[ImageCheck]:
    record = record_hash({"source": source, "version": _VERSION})
    path = cache_dir / _FOLDER / f"{record}.json" if cache_dir else None
    known = _load(path)
    new = [index for index, key in enumerate(keys) if key not in known]
    if new:
        threads = min(_THREADS, os.cpu_count() or 1)  # Pillow decodes without the GIL
        with ThreadPoolExecutor(threads) as pool:
            checks = pool.map(lambda index: check_image(read(index)), new)
            known |= {keys[index]: check for index, check in zip(new, checks, strict=True)}
        if path:
            content = json.dumps({key: list(check) for key, check in known.items()})
            with suppress(OSError):  # a folder that cannot be written is the preflight's to report
                write_atomic(path, content.encode())
    return [known[key] for key in keys]


def _load(path: Path | None) -> dict[str, ImageCheck]:
    if path is None or not path.exists():
        return {}
    try:
        return {key: ImageCheck(*values) for key, values in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):  # damaged: look again
        return {}


def _file_key(path: Path, name: str) -> str:
    status = path.stat()
    return f"{name}|{status.st_size}|{status.st_mtime_ns}"
