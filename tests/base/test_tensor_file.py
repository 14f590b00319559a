import pytest
import torch
from safetensors.torch import save_file

from fedmvp_flwr.base import tensor_file
from fedmvp_flwr.base.errors import CheckpointError
from fedmvp_flwr.base.tensor_file import load_tensors, save_tensors


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

    def full(tensors, path, metadata):
        path.write_bytes(b"half of it")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    path = tmp_path / "a.safetensors"
    save_tensors(path, {"a": torch.ones(2)}, {})
    before = path.read_bytes()
    monkeypatch.setattr(tensor_file, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_tensors(path, {"a": torch.zeros(2)}, {})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.safetensors"]
