import pytest
import torch

from fedmvp_flwr.aggregation.checkpoint import CheckpointStore
from fedmvp_flwr.aggregation.wire import pack
from fedmvp_flwr.base import files as records
from fedmvp_flwr.base.errors import CheckpointError


def arrays(value):
    return pack({"w": torch.full((2, 2), value), "n": torch.tensor(3)}, "fp16")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_checkpoint_comes_back(tmp_path):
    store = CheckpointStore(tmp_path / "new" / "folder")
    store.save(1, arrays(1.0), {"config": "abc"})
    store.save(2, arrays(2.0), {"config": "abc", "scores": {"a": [1, 2.5, None]}})
    latest = store.latest()
    assert latest.server_round == 2
    assert torch.equal(latest.tensors["w"], torch.full((2, 2), 2.0))
    assert latest.tensors["n"].dtype == torch.int64
    assert latest.metadata["config"] == "abc"
    assert latest.metadata["scores"] == {"a": [1, 2.5, None]}


def test_only_the_newest_stay(tmp_path):
    store = CheckpointStore(tmp_path)
    for server_round in (7, 8, 9, 10, 11):
        store.save(server_round, arrays(float(server_round)), {})
    assert names(tmp_path) == [f"round-{number:05d}.safetensors" for number in (9, 10, 11)]
    assert store.latest().server_round == 11


def test_an_earlier_run_in_the_folder_does_not_shadow_the_new_one(tmp_path):
    earlier = CheckpointStore(tmp_path)
    for server_round in (28, 29, 30):
        earlier.save(server_round, arrays(9.0), {})
    store = CheckpointStore(tmp_path)
    store.save(1, arrays(1.0), {})
    assert store.latest().server_round == 1
    assert float(store.latest().tensors["w"][0, 0]) == 1.0


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    CheckpointStore(tmp_path).save(1, arrays(1.0), {})
    assert names(tmp_path) == ["notes.txt", "round-00001.safetensors"]


def test_a_crash_while_writing_leaves_the_earlier_file(tmp_path, monkeypatch):
    store = CheckpointStore(tmp_path)
    store.save(1, arrays(1.0), {})
    monkeypatch.setattr(records.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        store.save(2, arrays(2.0), {})
    assert names(tmp_path) == ["round-00001.safetensors"]
    assert store.latest().server_round == 1


def test_nothing_saved_yet(tmp_path):
    with pytest.raises(CheckpointError, match="no round was finished"):
        CheckpointStore(tmp_path).latest()
    with pytest.raises(CheckpointError, match="no round was finished"):
        CheckpointStore(tmp_path / "absent").latest()


@pytest.mark.parametrize("damage", ["truncate", "empty", "garbage"])
def test_damaged_files_are_named(tmp_path, damage):
    path = CheckpointStore(tmp_path).save(1, arrays(1.0), {})
    content = path.read_bytes()
    path.write_bytes({"truncate": content[:-5], "empty": b"", "garbage": b"x" * 50}[damage])
    with pytest.raises(CheckpointError, match="round-00001"):
        CheckpointStore(tmp_path).latest()
