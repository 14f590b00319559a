"""An index of split weights names safetensors files alone, and a header its tensors."""

import json

import pytest
import torch
from safetensors.torch import save_file

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.weight_files import shard_names, tensor_names


@pytest.fixture
def whole(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(5, 3), "b": torch.ones(2)}, path, metadata={"format": "pt"})
    return path


def test_names_of_the_parts(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "1.safetensors", "b": "1.safetensors"}}))
    assert shard_names(index) == {"1.safetensors"}
    index.write_text("{")
    with pytest.raises(ModelError, match=r"index\.json: expected the list of split weights"):
        shard_names(index)


@pytest.mark.parametrize(
    "name", ["w.bin", "../w.safetensors", "/w.safetensors", "a/w.safetensors", "a\\w.safetensors"]
)
def test_parts_are_safetensors_in_the_same_folder(name, tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "1.safetensors", "b": name}}))
    with pytest.raises(ModelError) as error:
        shard_names(index)
    assert f"{index}: names {name!r}; expected names of .safetensors files" in str(error.value)


def test_names_of_the_tensors_where_it_is_clear_which_files_count(whole):
    folder = whole.parent
    assert tensor_names(folder) == {"a", "b"}
    save_file({"c": torch.ones(2)}, folder / "x.safetensors")
    assert tensor_names(folder) == set()
    index = folder / "model.safetensors.index.json"
    parts = {"a": "w.safetensors", "b": "w.safetensors", "c": "x.safetensors"}
    index.write_text(json.dumps({"weight_map": parts}))
    assert tensor_names(folder) == {"a", "b", "c"}
    index.write_text(json.dumps({"weight_map": {"c": "x.safetensors"}}))
    assert tensor_names(folder) == set()
