"""Folders of clients: names of files, and what is read back from them."""

import json

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.dealing import export as exporting
from fedmvp_flwr.data.dealing.export import CLASS_NAMES_FILE, export_parts
from fedmvp_flwr.data.dealing.partition import Assignment
from fedmvp_flwr.data.sources.folder import load_folder
from fedmvp_flwr.data.sources.registry import load_dataset

pytest.importorskip("flwr_datasets", reason="the partitioners come with the extra 'data'")

KEYS = ["../../../evil", "a/b/c", "/etc/x", "a b", "", "..", "é" * 300, "plain-1", "a_b", "a\nb"]


def export_all(tmp_path, target, clients=2, **keys):
    config = RunConfig.of(cache_dir=str(tmp_path / "cache"), partition="iid", **keys)
    load_dataset.cache_clear()
    dataset = load_dataset(config.data, tmp_path / "cache")
    return export_parts(dataset, config, clients, tmp_path / target)


@pytest.fixture
def export(folder, tmp_path):
    def build(change, **keys):
        keys |= {"dataset": f"folder:{folder(change)}", "id_column": "id"}
        parts = export_all(tmp_path, "out/parts", **keys)
        rows = [json.loads(line) for part in parts for line in (part / "metadata.jsonl").open()]
        return parts, rows

    return build


def test_any_key_becomes_a_file_in_the_folder(export, settings, tmp_path):
    def change(rows):
        return [dict(row, id=key) for row, key in zip(rows, KEYS, strict=True)]

    parts, rows = export(change, missing_pattern="real")
    assert {row["id"] for row in rows} == {key or "images/4.png" for key in KEYS}
    assert len({row["file_name"] for row in rows}) == len(KEYS)
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.png")}
    assert all(path.parts[0] in ("folder", "out") for path in written)
    names = {row["id"]: row["file_name"] for row in rows}
    assert names["plain-1"].endswith("/plain-1.png")
    assert ".." not in names["../../../evil"]
    for part in parts:
        read = load_folder(part, *settings(id_column="id"), ["a", "b"])
        assert read.findings.num_bad == 0


def test_a_modality_that_nobody_has_is_told_by_nulls(export, settings):
    def change(rows):
        for i, row in enumerate(rows):
            row.update(id=f"s{i}", text=None)

    parts, rows = export(change, missing_pattern="real")
    assert all(row["text"] is None for row in rows)
    read = load_folder(parts[0], *settings(id_column="id"), ["a", "b"])
    assert all(s.text is None for split in read.splits.values() for s in split)


def test_class_names_that_a_line_cannot_hold(export):
    labels = ["a\tb", "c"]
    with pytest.raises(DataError, match=r"class 'a\\tb' has a tab"):
        export(lambda rows: [dict(r, id=i, label=labels[i % 2]) for i, r in enumerate(rows)])


def test_flora_keeps_its_names(tmp_path):
    parts = export_all(tmp_path, "parts", train_samples=12, test_samples=6)
    for row in map(json.loads, (parts[0] / "metadata.jsonl").open()):
        assert row.get("file_name", f"{row['split']}/{row['id']}.png").endswith(f"/{row['id']}.png")
    assert "\t" in (tmp_path / "parts" / CLASS_NAMES_FILE).read_text()


def test_a_target_that_is_a_file(folder, tmp_path):
    (tmp_path / "target").write_text("mine")
    with pytest.raises(DataError, match=r"target is a file\. Name a folder"):
        export_all(tmp_path, "target", dataset=f"folder:{folder()}")
    assert (tmp_path / "target").read_text() == "mine"


def test_clients_without_held_out_samples_are_refused_before_writing(folder, tmp_path):
    expected = (
        r"The clients \[\d, \d\] \(from 0\) .* no held-out sample.* 2 for 4 clients: use fewer"
    )
    with pytest.raises(DataError, match=expected):
        export_all(tmp_path, "target", 4, dataset=f"folder:{folder()}")
    assert not (tmp_path / "target").exists()


def test_clients_without_training_samples_are_refused(folder, tmp_path, monkeypatch):
    dealt = Assignment([[*range(8)], []], [[0], [1]])
    monkeypatch.setattr(exporting, "split_dataset", lambda *_: dealt)
    with pytest.raises(DataError, match=r"The clients \[1\] .* no training sample"):
        export_all(tmp_path, "target", dataset=f"folder:{folder()}")
