import pytest
import torch
from safetensors.torch import load_file, save_file

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import StoreError
from fedmvp_flwr.base.samples import MODALITIES
from fedmvp_flwr.client.prepared_file import client_file, load_client, save_client
from fedmvp_flwr.config.node import Node

CLASSES = ("a", "b", "c")


@pytest.fixture
def node(tmp_path):
    return Node(1, 3, tmp_path)


@pytest.fixture
def data(make_client):
    return make_client()


def same(first, second):
    pairs = [(first.labels, second.labels)]
    for name, modality in first.modalities.items():
        pairs += [
            (getattr(modality, f), getattr(second.modalities[name], f)) for f in vars(modality)
        ]
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)


def test_what_is_saved_comes_back(node, data):
    save_client(RunConfig.of(), node, CLASSES, data)
    back = load_client(RunConfig.of(), node, CLASSES)
    assert same(back.train, data.train)
    assert back.summary == data.summary
    seen = dict.fromkeys(MODALITIES, torch.zeros(len(CLASSES), dtype=torch.bool))
    ours, theirs = data.test(seen), back.test(seen)
    assert list(ours.plain) == list(theirs.plain)
    assert list(ours.completed) == list(theirs.completed)
    for name, batch in {**ours.plain, **{f"+{n}": b for n, b in ours.completed.items()}}.items():
        other = theirs.completed[name[1:]] if name[0] == "+" else theirs.plain[name]
        assert same(batch, other), name


def test_nothing_is_found_for_other_settings_classes_or_nodes(node, data, tmp_path):
    save_client(RunConfig.of(), node, CLASSES, data)
    assert load_client(RunConfig.of(missing_ratio=0.1), node, CLASSES) is None
    assert load_client(RunConfig.of(), node, CLASSES[::-1]) is None
    assert load_client(RunConfig.of(), Node(2, 3, tmp_path), CLASSES) is None
    assert load_client(RunConfig.of(), Node(1, 4, tmp_path), CLASSES) is None
    assert load_client(RunConfig.of(), Node(-1, 0, tmp_path, tmp_path, "x"), CLASSES) is None


def test_rounds_timeouts_and_places_do_not_matter(node, data):
    save_client(RunConfig.of(), node, CLASSES, data)
    other = RunConfig.of(num_server_rounds=99, out_dir="/a", resume="/b", round_timeout=1.0)
    assert load_client(other, node, CLASSES) is not None


@pytest.mark.parametrize("damage", ["truncated", "another value", "empty"])
def test_a_damaged_file_counts_as_absent(node, data, damage):
    path = save_client(RunConfig.of(), node, CLASSES, data)
    if damage == "another value":
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            header = file.metadata()
        tensors = load_file(path)
        tensors["train.real.image.tokens"] = tensors["train.real.image.tokens"] + 1
        save_file(tensors, path, metadata=header)
    else:
        path.write_bytes(path.read_bytes()[:-9] if damage == "truncated" else b"")
    assert load_client(RunConfig.of(), node, CLASSES) is None


def test_a_client_keeps_its_newest_files_only(node, data, tmp_path):
    other = save_client(RunConfig.of(), Node(0, 3, tmp_path), CLASSES, data)
    for seed in range(5):
        newest = save_client(RunConfig.of(seed=seed), node, CLASSES, data)
    files = set((tmp_path / "prepared").iterdir())
    assert len(files) == 3 + 1
    assert {newest, other} <= files


def test_a_full_disk_is_named(node, data, monkeypatch):
    from fedmvp_flwr.base import files as records

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records.os, "fsync", full)
    with pytest.raises(StoreError, match=r"No space left.*cache-dir"):
        save_client(RunConfig.of(), node, CLASSES, data)
    assert not client_file(RunConfig.of(), node, CLASSES).exists()
