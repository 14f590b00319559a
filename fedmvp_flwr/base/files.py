"""Files that are written whole or not at all, and hashed records of what chance decided.

A record that can be looked up later is what makes two runs comparable.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import DataError, FedMVPError

_READABLE = 0o644


def record_hash(record: Mapping[str, Any]) -> str:
    """Hex SHA-256 of the canonical JSON of a record."""
    return hashlib.sha256(_canonical(record)).hexdigest()


def save_record(folder: Path, record: Mapping[str, Any]) -> str:
    """Write a record to `folder`/HASH.json, once and atomically; return the hash."""
    digest = record_hash(record)
    path = folder / f"{digest}.json"
    if not path.exists():
        write_atomic(path, _canonical(record))
    return digest


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that it is either the old one or the new one, also after a crash.

    It is on disk afterwards, under its name, as far as the platform can promise that. Not for many
    small files: each one waits for the disk twice.
    """
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give the path of a file to write in the block, which then takes the place of `path`.

    As `write_atomic`, for a library that writes by itself. After an error nothing of it is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        os.close(handle)
        yield Path(name)
        with open(name, "rb") as file:
            os.fchmod(file.fileno(), _READABLE)  # mkstemp's own mode hides it from other users
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Put a renaming on disk: a power cut would otherwise bring back the old file, or none."""
    with suppress(OSError):  # not every file system, and not every platform, can do it
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _canonical(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    # Half a surrogate pair (a byte of a name that is no UTF-8) becomes JSON's own escape of it.
    return text.encode("utf-8", "backslashreplace")


def expanded(path: str | Path, error: type[FedMVPError] = DataError, key: str = "") -> Path:
    """The path with the home folder instead of `~`.

    Args:
        path: what a user wrote.
        error: what to raise.
        key: the setting or option that it was written for, which the error names; "" for none.

    Raises:
        FedMVPError: it begins with `~NAME`, and no user has that name; or with `~`, and nobody
            says where the user's own home folder is.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as cause:
        home = Path(path).parts[0]
        remedy = "Set HOME" if home == "~" else "Write '~/...' for your own"
        raise error(
            f"{key}{'=' if key else ''}'{path}': there is no home folder '{home}'. {remedy}, or "
            "give an absolute path."
        ) from cause


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write readable JSON atomically."""
    write_atomic(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())
