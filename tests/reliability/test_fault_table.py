"""The fault table: what it says, and that lost data would be noticed."""

import json

from reliability.fault_table import BEGIN, END, Row, data_digest, data_lost, store, stored, write


def make_folders(root):
    folders = [root / f"node-{i}" for i in range(2)]
    for folder in folders:
        folder.mkdir()
        (folder / "a.jpg").write_bytes(b"picture")
    return folders


def train_events(cache, *samples):
    cache.mkdir()
    lines = [json.dumps({"event": "train", "samples": n}) for n in samples]
    lines.append(json.dumps({"event": "evaluate", "samples": 3}))
    (cache / "events.jsonl").write_text("\n".join(lines) + "\n")
    return cache


def test_data_that_stays_is_not_lost(tmp_path):
    folders = make_folders(tmp_path)
    caches = [train_events(tmp_path / "cache-0", 24, 24), tmp_path / "cache-1"]
    assert data_lost(data_digest(folders), folders, caches) == "none"


def test_lost_data_is_noticed(tmp_path):
    folders = make_folders(tmp_path)
    before = data_digest(folders)
    (folders[1] / "a.jpg").write_bytes(b"pict")
    assert "changed" in data_lost(before, folders, [])
    (folders[1] / "a.jpg").unlink()
    assert "changed" in data_lost(before, folders, [])


def test_a_round_with_fewer_samples_is_noticed(tmp_path):
    folders = make_folders(tmp_path)
    caches = [train_events(tmp_path / "cache-0", 24, 23)]
    assert "samples differ" in data_lost(data_digest(folders), folders, caches)


def test_parts_are_kept_and_written_together(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"head\n{BEGIN}old\n{END}tail\n")
    store(tmp_path / "rows", "second", [Row("b|c", "went\nwrong", "1", "never", False)])
    store(tmp_path / "rows", "first", [Row("a", "left out", "0", "at once")])
    write(stored(tmp_path / "rows", ("first", "absent", "second")), page)
    assert page.read_text() == (
        f"head\n{BEGIN}"
        "| fault | what happened | rounds lost | data lost | normal again |\n"
        "|---|---|---|---|---|\n"
        "| a | left out | 0 | none | at once |\n"
        "| b\\|c | went wrong **(not as it must be)** | 1 | none | never |\n"
        f"{END}tail\n"
    )
