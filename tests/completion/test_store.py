import multiprocessing
import os
import random
import sqlite3
import threading

import pytest

from fedmvp_flwr.base.errors import StoreError
from fedmvp_flwr.completion.store import FeatureStore, key_for

TRIALS = 25


def entries(count, seed=0, size=6000):
    rng = random.Random(seed)
    return {
        key_for("test", seed=seed, number=number): rng.randbytes(rng.randrange(1, size))
        for number in range(count)
    }


def filled(root, count=60):
    values = entries(count)
    with FeatureStore(root) as store:
        store.put_many(values)
    return values


def test_values_come_back(tmp_path):
    values = filled(tmp_path / "new" / "folder", 1300)
    with FeatureStore(tmp_path / "new" / "folder") as store:
        assert store.get_many(values) == values
        assert store.get_many([]) == {}
        assert store.get_many([key_for("absent")]) == {}


def test_the_first_value_stays(tmp_path):
    key = key_for("test")
    with FeatureStore(tmp_path) as store:
        store.put_many({key: b"first"})
        store.put_many({key: b"second"})
        store.put_many({})
        assert store.get_many([key, key]) == {key: b"first"}


def test_an_empty_value_is_a_value(tmp_path):
    with FeatureStore(tmp_path) as store:
        store.put_many({key_for("empty"): b""})
        assert store.get_many([key_for("empty")]) == {key_for("empty"): b""}


def test_keys_depend_on_every_part_and_not_on_order():
    assert key_for("a", x=1, y="2") == key_for("a", y="2", x=1)
    others = [key_for("b", x=1, y="2"), key_for("a", x=1), key_for("a", x=1, y=2)]
    assert key_for("a", x=1, y="2") not in others
    assert len(key_for("a")) == 64
    with pytest.raises(ValueError, match="JSON"):
        key_for("a", x=float("nan"))


def test_a_changed_value_is_dropped_and_can_be_put_again(tmp_path, caplog):
    values = filled(tmp_path)
    first = next(iter(values))
    connection = sqlite3.connect(FeatureStore(tmp_path).path)
    with connection:
        change = "UPDATE entry SET value = x'00' WHERE key = ?"
        connection.execute(change, (bytes.fromhex(first),))
    connection.close()
    with FeatureStore(tmp_path) as store:
        rest = {key: value for key, value in values.items() if key != first}
        assert store.get_many(values) == rest
        assert "1 damaged entries" in caplog.text
        store.put_many({first: values[first]})
        assert store.get_many(values) == values


def test_a_value_under_another_key_is_not_believed(tmp_path):
    values = filled(tmp_path, 2)
    one, two = (bytes.fromhex(key) for key in values)
    connection = sqlite3.connect(FeatureStore(tmp_path).path)
    swap = "UPDATE entry SET (checksum, value) = (SELECT checksum, value FROM entry WHERE key = ?)"
    with connection:
        connection.execute(f"{swap} WHERE key = ?", (one, two))
    connection.close()
    with FeatureStore(tmp_path) as store:
        assert store.get_many(values) == {one.hex(): values[one.hex()]}


def _truncate(content, rng):
    return content[: rng.randrange(len(content))]


def _overwrite_pages(content, rng):
    content = bytearray(content)
    for _ in range(rng.choice([1, 3, 10])):
        start = rng.randrange(len(content) // 4096) * 4096
        content[start : start + 4096] = rng.randbytes(4096)
    return bytes(content)


def _flip_bits(content, rng):
    content = bytearray(content)
    for _ in range(20):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


@pytest.mark.parametrize("damage", [_truncate, _overwrite_pages, _flip_bits])
def test_a_damaged_file_never_lies_and_is_rebuilt(damage, tmp_path):
    values = filled(tmp_path / "whole")
    content = FeatureStore(tmp_path / "whole").path.read_bytes()
    rng = random.Random(3)
    for trial in range(TRIALS):
        root = tmp_path / f"trial-{trial}"
        root.mkdir()
        with FeatureStore(root) as store:
            store.path.write_bytes(damage(content, rng))
            found = store.get_many(values)
            assert found.items() <= values.items()
            store.put_many({key: value for key, value in values.items() if key not in found})
            recovered = store.get_many(values)
            assert recovered.items() <= values.items()
            assert len(recovered) >= 0.9 * len(values)


def test_a_file_that_is_no_store_is_set_aside(tmp_path, caplog):
    with FeatureStore(tmp_path) as store:
        store.path.write_bytes(b"not a database at all " * 500)
        values = entries(3)
        store.put_many(values)
        assert store.get_many(values) == values
    aside = list(tmp_path.glob("*.damaged-*"))
    assert len(aside) == 1
    assert aside[0].name in caplog.text


def test_damage_while_the_store_is_open(tmp_path):
    values = filled(tmp_path)
    with FeatureStore(tmp_path) as store, FeatureStore(tmp_path) as other:
        assert other.get_many(values) == store.get_many(values) == values
        os.truncate(store.path, 20_000)
        for one in (store, other, store):
            assert one.get_many(values).items() <= values.items()
            one.put_many(values)
        assert store.get_many(values) == other.get_many(values) == values


def test_a_folder_that_cannot_be_created(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cache-dir"):
        FeatureStore(tmp_path / "file" / "store").get_many([key_for("any")])


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(*_, **__):
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    monkeypatch.setattr(sqlite3, "connect", refuse)
    with pytest.raises(StoreError, match=r"unable to open.*cache-dir"):
        FeatureStore(tmp_path).put_many(entries(1))


def test_a_full_disk_is_an_error_and_no_damage(tmp_path):
    values = filled(tmp_path, 5)
    with FeatureStore(tmp_path) as store:
        store.get_many(values)
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="disk is full"):
            store.put_many(entries(50, seed=1))
        assert store.get_many(values) == values
    assert not list(tmp_path.glob("*.damaged-*"))


def _write(root, seed, barrier):
    values = list(entries(120, seed=seed).items())
    barrier.wait()
    with FeatureStore(root) as store:
        for start in range(0, len(values), 8):
            store.put_many(dict(values[start : start + 8]))
            store.get_many(dict(values[: start + 8]))


def test_processes_write_at_once(tmp_path):
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    barrier = context.Barrier(3)
    seeds = (0, 0, 1)
    workers = [context.Process(target=_write, args=(tmp_path, seed, barrier)) for seed in seeds]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
        assert worker.exitcode == 0
    with FeatureStore(tmp_path) as store:
        everything = entries(120, seed=0) | entries(120, seed=1)
        assert store.get_many(everything) == everything


def test_threads_share_one_store(tmp_path):
    values = entries(90)
    with FeatureStore(tmp_path) as store:
        parts = [dict(list(values.items())[i::3]) for i in range(3)]
        threads = [threading.Thread(target=store.put_many, args=(part,)) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.get_many(values) == values
