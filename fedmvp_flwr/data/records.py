"""Small hashed JSON records of what chance decided: splits, masks, probes.

A record that can be looked up later is what makes two runs comparable.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    """Write a file so that it is either the old one or the new one, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        os.fchmod(handle, _READABLE)  # mkstemp's own mode would hide results from other users
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _canonical(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
