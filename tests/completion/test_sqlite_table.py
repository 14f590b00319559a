"""The table: rows with checksums, all of a transaction or nothing."""

import sqlite3
from contextlib import closing

import pytest

from fedmvp_flwr.completion import sqlite_table as table


@pytest.fixture
def connection(tmp_path):
    with closing(table.connect(tmp_path / "file")) as opened:
        yield opened


def rows(count, value=b"value"):
    return [table.make_row(bytes([number]) * 32, value) for number in range(count)]


def test_rows_come_back_intact_whatever_their_number(connection, monkeypatch):
    monkeypatch.setattr(table, "_KEYS_PER_QUERY", 3)
    made = rows(8)
    table.insert(connection, made)
    keys = [key for key, _, _ in made]
    assert sorted(table.select(connection, [*keys, b"absent"])) == made
    assert all(table.intact(row) for row in made)
    assert sorted(table.select(connection, keys[:2], "key")) == [(key,) for key in keys[:2]]


def test_a_key_that_is_there_keeps_its_row(connection):
    first, second = rows(1, b"first"), rows(1, b"second")
    table.insert(connection, first)
    table.insert(connection, second)
    assert list(table.select(connection, [first[0][0]])) == first


def test_deleted_rows_are_gone_and_can_be_added_again(connection):
    made = rows(3)
    table.insert(connection, made)
    table.delete(connection, [made[1][0], b"absent"])
    keys = [key for key, _, _ in made]
    assert sorted(table.select(connection, keys)) == [made[0], made[2]]
    table.insert(connection, rows(3, b"other"))
    assert sorted(value for _, _, value in table.select(connection, keys)) == [
        b"other",
        b"value",
        b"value",
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda key, checksum, value: (key, checksum, value + b"x"),
        lambda key, checksum, value: (b"k" * 32, checksum, value),
        lambda key, checksum, value: (key, b"", value),
        lambda key, checksum, value: (key, checksum, "value"),
        lambda key, checksum, value: (key, checksum, None),
        lambda key, checksum, value: (key * 3, checksum, value),
    ],
    ids=["value", "key", "checksum", "text", "nothing", "long key"],
)
def test_changed_rows_are_told(change):
    (row,) = rows(1)
    assert not table.intact(change(*row))


def test_an_interrupted_transaction_leaves_nothing(connection):
    def breaking():
        yield rows(1)[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        table.insert(connection, breaking())
    assert not connection.in_transaction
    assert list(table.select(connection, [rows(1)[0][0]])) == []
    table.insert(connection, rows(1))
    assert list(table.select(connection, [rows(1)[0][0]])) == rows(1)


def test_another_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"no database at all " * 50)
    with pytest.raises(sqlite3.DatabaseError):
        table.connect(tmp_path / "file")
