import json
import sys
import types

import pytest

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation import specs
from fedmvp_flwr.foundation.folders.fingerprint import model_fingerprint, space_fingerprint
from fedmvp_flwr.foundation.specs import LIBRARIES, ROLES, LoadContext, load_model, parse_spec


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


def assets(monkeypatch, model_path):
    module = types.ModuleType("fedmvp_assets")
    module.model_path = model_path
    monkeypatch.setitem(sys.modules, "fedmvp_assets", module)


def test_a_local_model(spec, folder):
    assert (spec.role, spec.library, spec.folder) == ("image_encoder", "open_clip", folder)
    assert spec.adapter is LIBRARIES["image_encoder"]["open_clip"]


def test_every_role_has_an_embedded_model(monkeypatch, tmp_path):
    def model_path(name):
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        for library in (LIBRARIES[role] for role in ROLES):
            for entry in library.values():
                (path / entry.marker).write_text("{}")
        return path

    assets(monkeypatch, model_path)
    config = RunConfig.of()
    names = [parse_spec(role, getattr(config.models, role)).folder.name for role in ROLES]
    assert names == ["encoder", "encoder", "captioner", "generator"]


@pytest.mark.parametrize(
    ("role", "text", "message"),
    [
        ("image_encoder", "openclip:embedded", "image-encoder.*did you mean 'open_clip'"),
        ("captioner", "open_clip:embedded", "captioner.*expected one of transformers"),
        ("captioner", "transformers:embeded", "did you mean 'embedded'"),
        ("captioner", "", "unknown library ''"),
        ("captioner", "transformers", "unknown name ''"),
        ("captioner", "transformers:local", "absolute folder"),
        ("captioner", "transformers:local:relative/folder", "absolute folder"),
        ("captioner", "transformers:local:/no/such/folder", "does not exist"),
        ("captioner", "transformers:embedded:/folder", "local:/folder"),
    ],
)
def test_wrong_specs_say_what_is_expected(role, text, message):
    with pytest.raises(ModelError, match=message):
        parse_spec(role, text)


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(ModelError, match=r"holds no model_index\.json"):
        parse_spec("image_generator", f"diffusers:local:{tmp_path}")


@pytest.mark.parametrize("text", ["transformers:{}", "transformers:local:{}", "diffusers:{}"])
def test_a_file_that_the_library_would_not_load_is_refused(text, tmp_path):
    for marker in ("config.json", "model_index.json"):
        (tmp_path / marker).write_text("{}")
    (tmp_path / "other.safetensors").write_bytes(b"weights")
    role = "image_generator" if text.startswith("diffusers") else "image_encoder"
    library = text.partition(":")[0]
    parse_spec(role, text.format(tmp_path))
    with pytest.raises(ModelError, match=f"name the folder: '{library}:{tmp_path}'"):
        parse_spec(role, text.format(tmp_path / "other.safetensors"))


def test_missing_assets_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "fedmvp_assets", None)
    with pytest.raises(ModelError, match=r"captioner.*not installed.*fedmvp_assets"):
        parse_spec("captioner", "transformers:embedded")


def test_missing_assets_folder(monkeypatch):
    def model_path(name):
        raise FileNotFoundError(f"the {name} is missing")

    assets(monkeypatch, model_path)
    with pytest.raises(ModelError, match=r"encoder is missing.*fedmvp_assets\.build"):
        parse_spec("text_encoder", "open_clip:embedded")


def test_missing_library(monkeypatch, spec, folder):
    loader = specs.Library("no_such_module_anywhere:load", 1, "open_clip_config.json")
    monkeypatch.setitem(LIBRARIES["image_encoder"], "open_clip", loader)
    with pytest.raises(ModelError, match=r"image-encoder: open_clip cannot be imported.*pip"):
        load_model(spec, LoadContext(folder, "cpu", RunConfig.of(), {}))


def test_a_folder_that_does_not_load(spec, folder):
    parts = {"model_cfg": {"vision_cfg": {}, "text_cfg": {}}}
    (folder / "open_clip_config.json").write_text(json.dumps(parts))
    (folder / "weights.safetensors").write_bytes(b"weights")
    with pytest.raises(ModelError, match="open_clip cannot load"):
        load_model(spec, LoadContext(folder, "cpu", RunConfig.of(), {}))


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


def test_fingerprint_changes_with_the_adapter(monkeypatch, spec):
    before, space = model_fingerprint(spec), space_fingerprint(spec)
    old = spec.adapter
    newer = specs.Library(old.loader, old.version + 1, old.marker, old.joint_space)
    monkeypatch.setitem(LIBRARIES["image_encoder"], "open_clip", newer)
    assert model_fingerprint(spec) != before
    assert space_fingerprint(spec) == space


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
