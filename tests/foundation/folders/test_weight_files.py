"""A safetensors file is judged by its header and size; an index of split weights by its form."""

import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.weight_files import damage, shard_names, tensor_names


@pytest.fixture
def whole(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(5, 3), "b": torch.ones(2)}, path, metadata={"format": "pt"})
    return path


def test_a_whole_file_has_no_damage(whole):
    assert damage(whole) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b[:-5], "has {short} bytes, its header tells {size}"),
        (lambda b: b + b"12345", "has {long} bytes, its header tells {size}"),
        (lambda b: b[:40], "ends after 40 bytes, within its header"),
        (lambda b: b"", "ends after 0 bytes"),
        (lambda b: b[:20] + b"\xff" + b[21:], "has a damaged header"),
        (lambda b: b[:8] + b"[" + b[9:], "has a damaged header"),
        (lambda b: b.replace(b"F32", b"X32"), "has a damaged header"),
        (lambda _: struct.pack("<Q", 2) + b"[]", "has a damaged header"),
        (lambda _: b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
    ],
)
def test_damage_is_told(change, message, whole):
    content = whole.read_bytes()
    whole.write_bytes(change(content))
    size = len(content)
    assert message.format(size=size, short=size - 5, long=size + 5) in damage(whole)


def test_a_file_that_is_not_there(tmp_path):
    assert "cannot be read" in damage(tmp_path / "no.safetensors")


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
