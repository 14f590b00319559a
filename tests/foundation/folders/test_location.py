"""Where a model on this machine lies, and which of its files counts."""

import pytest

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.location import local_folder, single_weights


def test_a_folder_or_one_file_of_it(tmp_path):
    assert local_folder("timm", str(tmp_path), True) == (tmp_path, None)
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"weights")
    assert local_folder("timm", str(file), True) == (tmp_path, "w.safetensors")
    pickled = tmp_path / "w.bin"
    pickled.write_bytes(b"a pickle")
    with pytest.raises(ModelError, match=r"w\.bin is no \.safetensors file\. Convert"):
        local_folder("timm", str(pickled), True)
    with pytest.raises(ModelError, match="transformers loads a whole folder"):
        local_folder("transformers", str(file), False)


@pytest.mark.parametrize(
    ("path", "said"), [("", "absolute"), ("a/b", "absolute"), ("/no", "exist")]
)
def test_what_is_no_folder(path, said):
    with pytest.raises(ModelError, match=said):
        local_folder("timm", path, True)


def test_of_several_weights_one_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"holds no \.safetensors file"):
        single_weights(tmp_path, None)
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name).write_bytes(b"weights")
    assert single_weights(tmp_path, "b.safetensors") == tmp_path / "b.safetensors"
    with pytest.raises(ModelError, match=r"found a\.safetensors, b\.safetensors\. Name the file"):
        single_weights(tmp_path, None)
    (tmp_path / "a.safetensors").unlink()
    assert single_weights(tmp_path, None) == tmp_path / "b.safetensors"
