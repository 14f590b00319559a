import pytest
import torch
from safetensors.torch import save_file

from fedmvp_flwr.aggregation.checkpoint import CheckpointStore
from fedmvp_flwr.aggregation.wire import pack
from fedmvp_flwr.base import files as records
from fedmvp_flwr.base.errors import CheckpointError
from fedmvp_flwr.base.tensor_file import load_tensors, save_tensors


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
    store = CheckpointStore(tmp_path, keep=2)
    for server_round in (8, 9, 10, 11):
        store.save(server_round, arrays(float(server_round)), {})
    assert names(tmp_path) == ["round-00010.safetensors", "round-00011.safetensors"]
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
    CheckpointStore(tmp_path, keep=1).save(1, arrays(1.0), {})
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


def test_at_least_one_is_kept(tmp_path):
    with pytest.raises(ValueError, match="keep"):
        CheckpointStore(tmp_path, keep=0)


@pytest.mark.parametrize("damage", ["truncate", "empty", "garbage"])
def test_damaged_files_are_named(tmp_path, damage):
    path = CheckpointStore(tmp_path).save(1, arrays(1.0), {})
    content = path.read_bytes()
    path.write_bytes({"truncate": content[:-5], "empty": b"", "garbage": b"x" * 50}[damage])
    with pytest.raises(CheckpointError, match="round-00001"):
        CheckpointStore(tmp_path).latest()


@pytest.mark.parametrize(
    "header", [None, {"fedmvp": "no json"}, {"fedmvp": "{}"}, {"fedmvp": "[1]"}, {"other": "{}"}]
)
def test_files_of_another_origin_are_refused(tmp_path, header):
    path = tmp_path / "model.safetensors"
    save_file({"w": torch.ones(1)}, path, metadata=header)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_tensors(path)


def test_files_of_another_format_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"w": torch.ones(1)}, path, metadata={"fedmvp": '{"format": 99}'})
    with pytest.raises(CheckpointError, match="format"):
        load_tensors(path)


def test_a_missing_file_or_a_folder_is_refused(tmp_path):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(CheckpointError, match="No file"):
            load_tensors(path)


def test_tensors_of_any_layout_survive(tmp_path):
    tensors = {
        "transposed": torch.arange(6.0).reshape(2, 3).T,
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "half": torch.ones(2, dtype=torch.float16),
        "flags": torch.tensor([True, False]),
    }
    save_tensors(tmp_path / "a.safetensors", tensors, {"name": "Blümchen 花"})
    back, metadata = load_tensors(tmp_path / "a.safetensors")
    assert metadata["name"] == "Blümchen 花"
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)


def test_a_full_disk_is_an_error_of_the_system_and_leaves_nothing(tmp_path, monkeypatch):
    from safetensors import SafetensorError

    from fedmvp_flwr.aggregation import checkpoint

    def full(tensors, path, metadata):
        path.write_bytes(b"half of it")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    path = tmp_path / "a.safetensors"
    save_tensors(path, {"a": torch.ones(2)}, {})
    before = path.read_bytes()
    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_tensors(path, {"a": torch.zeros(2)}, {})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.safetensors"]
