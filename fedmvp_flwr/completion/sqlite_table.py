"""The one table of the feature store's SQLite file: rows with checksums."""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

BUSY_SECONDS = 60.0  # how long a process waits for another one's transaction

Row = tuple[bytes, bytes, bytes]  # key, checksum, value

_PAGE_BYTES = 8192
_CHECKSUM_BYTES = 16
_KEYS_PER_QUERY = 500
_CREATE = "CREATE TABLE IF NOT EXISTS entry (key BLOB PRIMARY KEY, checksum BLOB, value BLOB)"


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


def intact(row: tuple[Any, ...]) -> bool:
    """Whether a row is what `make_row` made."""
    key, checksum, value = row
    if not all(isinstance(part, bytes) for part in row) or len(key) > hashlib.blake2b.MAX_KEY_SIZE:
        return False
    return bool(checksum == _checksum(key, value))


def select(
    connection: sqlite3.Connection, keys: list[bytes], columns: str = "key, checksum, value"
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the keys that are there, unchecked."""
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        part = keys[start : start + _KEYS_PER_QUERY]
        marks = ",".join("?" * len(part))
        yield from connection.execute(f"SELECT {columns} FROM entry WHERE key IN ({marks})", part)


def insert(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Add rows in one transaction; a key that is there keeps its row."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR IGNORE INTO entry VALUES (?, ?, ?)", rows)


def delete(connection: sqlite3.Connection, keys: Iterable[bytes]) -> None:
    """Remove rows in one transaction."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("DELETE FROM entry WHERE key = ?", [(key,) for key in keys])


def _checksum(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(value, key=key, digest_size=_CHECKSUM_BYTES).digest()
