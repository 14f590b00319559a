"""The one table of the feature store's SQLite file: rows with checksums, and how to save them."""

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

BUSY_SECONDS = 60.0  # how long a process waits for another one's transaction

Row = tuple[bytes, bytes, bytes]  # key, checksum, value

_PAGE_BYTES = 8192
_CHECKSUM_BYTES = 16
_KEYS_PER_QUERY = 500
_SALVAGE_ROWS = 64
_MAGIC = b"SQLite format 3\x00"
_PAGE_COUNT = slice(28, 32)  # big-endian, in SQLite's file header
_CREATE = "CREATE TABLE IF NOT EXISTS entry (key BLOB PRIMARY KEY, checksum BLOB, value BLOB)"
_SELECT = "SELECT key, checksum, value FROM entry"


def connect(path: Path) -> sqlite3.Connection:
    """Open or create the file.

    Raises:
        sqlite3.Error: it cannot be opened, or it is no such file.
    """
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        for pragma in (
            f"page_size = {_PAGE_BYTES}",
            "journal_mode = WAL",
            "synchronous = NORMAL",  # a power cut may cost the last values, never the file
            "cell_size_check = ON",
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(_CREATE)
    except BaseException:
        connection.close()
        raise
    return connection


def make_row(key: bytes, value: bytes) -> Row:
    """Add the checksum, which covers the key as well."""
    return key, _checksum(key, value), value


def intact(row: tuple[Any, Any, Any]) -> bool:
    """Whether a row is what `make_row` made."""
    key, checksum, value = row
    if not all(isinstance(part, bytes) for part in row) or len(key) > hashlib.blake2b.MAX_KEY_SIZE:
        return False
    return bool(checksum == _checksum(key, value))


def select(connection: sqlite3.Connection, keys: list[bytes]) -> Iterator[tuple[Any, Any, Any]]:
    """Yield the rows of the keys that are there, unchecked."""
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        part = keys[start : start + _KEYS_PER_QUERY]
        marks = ",".join("?" * len(part))
        yield from connection.execute(f"{_SELECT} WHERE key IN ({marks})", part)


def present(connection: sqlite3.Connection, keys: list[bytes]) -> Iterator[bytes]:
    """Yield the keys that are there."""
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        part = keys[start : start + _KEYS_PER_QUERY]
        marks = ",".join("?" * len(part))
        for (key,) in connection.execute(f"SELECT key FROM entry WHERE key IN ({marks})", part):
            yield key


def insert(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Add rows in one transaction; a key that is there keeps its row."""
    with _transaction(connection):
        connection.executemany("INSERT OR IGNORE INTO entry VALUES (?, ?, ?)", rows)


def delete(connection: sqlite3.Connection, keys: Iterable[bytes]) -> None:
    """Remove rows in one transaction."""
    with _transaction(connection):
        connection.executemany("DELETE FROM entry WHERE key = ?", [(key,) for key in keys])


def salvage(path: Path) -> Iterator[list[Row]]:
    """Yield the intact rows of a damaged file, as far as they can be reached.

    Raises:
        sqlite3.Error: nothing can be read.
    """
    _restore_length(path)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        last = _last_row(connection)
        smallest_row = _CHECKSUM_BYTES + hashlib.sha256().digest_size
        last = min(last, path.stat().st_size // smallest_row)  # the number may be damaged, too
        for first in range(1, last + 1, _SALVAGE_ROWS):
            rows = _rows_between(connection, first, min(last, first + _SALVAGE_ROWS - 1))
            if rows:
                yield rows
    finally:
        connection.close()


def _checksum(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(value, key=key, digest_size=_CHECKSUM_BYTES).digest()


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _restore_length(path: Path) -> None:
    """Fill a truncated file up with zeros: SQLite reads nothing of a file that is too short."""
    with contextlib.suppress(OSError):
        with path.open("rb") as file:
            header = file.read(_PAGE_COUNT.stop)
        length = int.from_bytes(header[_PAGE_COUNT], "big") * _PAGE_BYTES
        if header.startswith(_MAGIC) and path.stat().st_size < length:
            os.truncate(path, length)  # sparse: it takes no room on the disk


def _last_row(connection: sqlite3.Connection) -> int:
    """Ask the table for its last row; if that part is damaged, the index as far as it goes."""
    last = 0
    try:
        return connection.execute("SELECT max(rowid) FROM entry").fetchone()[0] or 0
    except sqlite3.DatabaseError:
        with contextlib.suppress(sqlite3.DatabaseError):
            for (row,) in connection.execute("SELECT rowid FROM entry"):
                last = max(last, row)
    return last


def _rows_between(connection: sqlite3.Connection, first: int, last: int) -> list[Row]:
    query = f"{_SELECT} WHERE rowid BETWEEN ? AND ?"
    try:
        return [row for row in connection.execute(query, (first, last)) if intact(row)]
    except (sqlite3.DatabaseError, OverflowError):
        if first == last:
            return []
        middle = (first + last) // 2
        left = _rows_between(connection, first, middle)
        return left + _rows_between(connection, middle + 1, last)
