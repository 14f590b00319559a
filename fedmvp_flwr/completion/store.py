"""The feature store: content-addressed values on disk, shared by any number of processes.

It sits on SQLite (write-ahead log): as fast as LMDB for values of 10 to 20 KB, and, unlike a
memory-mapped file, a truncated or overwritten file ends in an error instead of a killed process
(measured in docs/performance.md). Values are never trusted: each carries a checksum over its key
and its bytes. What is damaged is dropped and computed again; a file that is damaged as a whole is
renamed, and a new one begun.
"""

import contextlib
import hashlib
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from fedmvp_flwr.base.errors import StoreError
from fedmvp_flwr.completion import sqlite_table as table

_logger = logging.getLogger(__name__)
_T = TypeVar("_T")

_FILE = "features-v1.sqlite"  # the number rises with the table's format
_SIDE_FILES = ("-wal", "-shm")
_OPEN_TRIES = 20  # two processes that create the store at once may collide
_OPEN_PAUSE_SECONDS = 0.05  # times the number of the try

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_ENVIRONMENT = {  # what is wrong with the machine, not with the file
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOLFS,
    sqlite3.SQLITE_NOMEM,
}
_TRUNCATED = sqlite3.SQLITE_IOERR_SHORT_READ  # an I/O error only by name


def key_for(kind: str, **parts: object) -> str:
    """Return the key of a value: SHA-256 of the canonical JSON of everything that determines it.

    Args:
        kind: what the value is, for example "features".
        **parts: anything JSON can hold: digests, fingerprints, settings.
    """
    canonical = json.dumps([kind, parts], sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


class FeatureStore:
    """Values by key in a folder, made if absent; safe under concurrent threads and processes.

    SQLite's connections must not cross a fork: close the store before one.

    Raises:
        StoreError: at any use, if it cannot be opened, read or written, or the disk is full.
    """

    def __init__(self, root: Path) -> None:
        """Remember the folder; it is opened at first use."""
        self.root = Path(root)
        self.path = self.root / _FILE
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None  # of the file that was opened, or tried

    def __enter__(self) -> "FeatureStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; a later use opens it again."""
        with self._lock:
            if self._connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.close()
            self._connection = None

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the values that are there and intact, by key."""
        wanted = [bytes.fromhex(key) for key in dict.fromkeys(keys)]
        return self._guarded(lambda connection: self._read(connection, wanted)) if wanted else {}

    def contains(self, keys: Iterable[str]) -> set[str]:
        """Return which of the keys are there, without reading and checking their values."""
        wanted = [bytes.fromhex(key) for key in dict.fromkeys(keys)]
        return self._guarded(
            lambda connection: {key.hex() for (key,) in table.select(connection, wanted, "key")}
        )

    def put_many(self, items: Mapping[str, bytes]) -> None:
        """Add values in one transaction; a key that is already there keeps its value."""
        if not items:
            return
        rows = [table.make_row(bytes.fromhex(key), value) for key, value in items.items()]
        self._guarded(lambda connection: table.insert(connection, rows))

    def _read(self, connection: sqlite3.Connection, wanted: list[bytes]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        bad: list[bytes] = []
        for row in table.select(connection, wanted):
            if table.intact(row):
                found[row[0].hex()] = row[2]
            else:
                bad.append(row[0])
        if bad:
            _logger.warning("%d damaged entries of %s are computed again", len(bad), self.path)
            table.delete(connection, bad)
        return found

    def _guarded(self, action: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run an action; on a damaged file, begin a new one and run it once more."""
        damage: Exception | None = None
        with self._lock:
            while True:
                try:
                    if damage is not None:
                        self._set_aside(damage)
                    return action(self._open())
                except (sqlite3.DatabaseError, OverflowError, OSError) as error:
                    if damage is not None or not _is_damage(error):
                        self.close()
                        raise StoreError(
                            f"The feature store {self.path} cannot be used: {error}. Make room or "
                            "allow writing there, or choose another folder with cache-dir."
                        ) from error
                    damage = error

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        self.root.mkdir(parents=True, exist_ok=True)
        self._inode = self._present_inode()
        for attempt in range(1, _OPEN_TRIES + 1):
            try:
                self._connection = table.connect(self.path)
                break
            except sqlite3.OperationalError as error:
                if _code(error) not in _BUSY or attempt == _OPEN_TRIES:
                    raise
                time.sleep(_OPEN_PAUSE_SECONDS * attempt)
        assert self._connection is not None
        self._inode = self._present_inode()
        return self._connection

    def _present_inode(self) -> int | None:
        with contextlib.suppress(FileNotFoundError):
            return self.path.stat().st_ino
        return None

    def _set_aside(self, error: BaseException) -> None:
        """Rename a damaged file, unless another process has done so already."""
        self.close()
        if self._present_inode() != self._inode:
            return
        aside = f"{self.path}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        for suffix in ("", *_SIDE_FILES):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        _logger.warning(
            "The feature store was damaged (%s); it is kept as %s, everything is computed again.",
            error,
            aside,
        )


def _code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", 0) or 0)


def _is_damage(error: BaseException) -> bool:
    if isinstance(error, sqlite3.ProgrammingError | OSError):
        return False
    code = _code(error)
    return code == _TRUNCATED or (code & 0xFF) not in _ENVIRONMENT | _BUSY
