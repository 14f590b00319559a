"""A model's name is that of its content, of the adapter and of nothing else."""

from dataclasses import replace

import pytest

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.fingerprint import model_fingerprint, space_fingerprint
from fedmvp_flwr.foundation.registry import parse_spec


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "model"
    (path / "part").mkdir(parents=True)
    (path / "open_clip_config.json").write_text("{}")
    (path / "part" / "weights.safetensors").write_bytes(b"weights")
    (path / "README.md").write_text("about")
    return path


@pytest.fixture
def spec(folder):
    return parse_spec("image_encoder", f"open_clip:local:{folder}")


def test_fingerprint_is_of_the_content_and_not_of_the_place(spec, folder, tmp_path):
    before = model_fingerprint(spec)
    assert before == model_fingerprint(spec)
    (folder / "README.md").write_text("more about")
    (folder / "part" / "notes.log").write_text("log")
    assert model_fingerprint(spec) == before
    (folder / "merges.bpe").write_text("a b")  # a vocabulary
    assert model_fingerprint(spec) != before
    (folder / "merges.bpe").unlink()
    moved = folder.rename(tmp_path / "elsewhere")
    assert model_fingerprint(parse_spec("image_encoder", f"open_clip:local:{moved}")) == before


@pytest.mark.parametrize("change", ["weights", "config", "name", "extra"])
def test_fingerprint_changes_with_what_matters(change, spec, folder):
    before = model_fingerprint(spec)
    weights = folder / "part" / "weights.safetensors"
    if change == "weights":
        weights.write_bytes(b"WEIGHTS")
    elif change == "config":
        (folder / "open_clip_config.json").write_text('{"a": 1}')
    elif change == "name":
        weights.rename(folder / "weights.safetensors")
    else:
        (folder / "vocab.txt").write_text("word")
    assert model_fingerprint(spec) != before


def test_fingerprint_sees_linked_folders(spec, folder, tmp_path):
    before = model_fingerprint(spec)
    (folder / "part").rename(tmp_path / "elsewhere")
    (folder / "part").symlink_to(tmp_path / "elsewhere")
    assert model_fingerprint(spec) == before
    (tmp_path / "elsewhere" / "weights.safetensors").write_bytes(b"others")
    assert model_fingerprint(spec) != before


def test_fingerprint_changes_with_the_adapter(spec):
    before, space = model_fingerprint(spec), space_fingerprint(spec)
    newer = replace(spec, library=replace(spec.library, version=spec.library.version + 1))
    assert model_fingerprint(newer) != before
    assert space_fingerprint(newer) == space


def test_pickled_weights_are_refused(spec, folder):
    (folder / "part" / "weights.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        model_fingerprint(spec)


def test_only_joint_encoders_have_a_space(spec, folder):
    assert space_fingerprint(spec) == space_fingerprint(
        parse_spec("text_encoder", f"open_clip:local:{folder}")
    )
    (folder / "config.json").write_text("{}")
    captioner = parse_spec("captioner", f"transformers:local:{folder}")
    assert space_fingerprint(captioner) is None
