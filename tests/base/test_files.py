import json
import os
import stat
import threading

import pytest

from fedmvp_flwr.base import files as records
from fedmvp_flwr.base.files import record_hash, save_record, write_atomic


def test_the_hash_is_that_of_the_content():
    assert record_hash({"b": 1, "a": [2]}) == record_hash({"a": [2], "b": 1})
    assert record_hash({"a": [2, 3]}) != record_hash({"a": [3, 2]})
    assert record_hash({"name": "花"}) != record_hash({"name": "華"})
    assert len(record_hash({})) == 64


def test_a_record_is_found_by_its_hash(tmp_path):
    record = {"keys": ["a", "花"], "present": [1, 0]}
    digest = save_record(tmp_path / "masks", record)
    assert digest == record_hash(record)
    assert json.loads((tmp_path / "masks" / f"{digest}.json").read_text()) == record


def test_what_is_no_unicode_is_kept(tmp_path):
    record = {"source": "tr\udce9"}
    digest = save_record(tmp_path, record)
    assert json.loads((tmp_path / f"{digest}.json").read_bytes()) == record


def test_a_record_is_written_once(tmp_path):
    digest = save_record(tmp_path, {"a": 1})
    path = tmp_path / f"{digest}.json"
    before = path.stat().st_mtime_ns, path.stat().st_ino
    save_record(tmp_path, {"a": 1})
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_writing_replaces_the_whole_file(tmp_path):
    path = tmp_path / "deep" / "a.bin"
    write_atomic(path, b"long content")
    write_atomic(path, b"short")
    assert path.read_bytes() == b"short"
    assert os.listdir(path.parent) == ["a.bin"]


def test_a_crash_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    write_atomic(path, b"old")

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(records.os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_writers_at_once_leave_one_whole_file(tmp_path):
    path = tmp_path / "a.bin"
    contents = [bytes([i]) * 10_000 for i in range(6)]
    threads = [threading.Thread(target=write_atomic, args=(path, c)) for c in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert os.listdir(tmp_path) == ["a.bin"]


def test_the_renaming_is_on_disk_and_a_platform_that_cannot_does_no_harm(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def sync(descriptor):
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        synced.append("folder" if folder else "file")
        if folder:
            raise OSError(22, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(records.os, "fsync", sync)
    write_atomic(tmp_path / "a.bin", b"new")
    assert synced == ["file", "folder"]
    assert (tmp_path / "a.bin").read_bytes() == b"new"
