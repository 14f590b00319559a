import json
import sys
import types

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.registry import LIBRARIES, load_model, parse_spec
from fedmvp_flwr.foundation.spec import Library, LoadContext, ModelOptions


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
    assert (spec.role, spec.library_name, spec.folder) == ("image_encoder", "open_clip", folder)
    assert spec.library is LIBRARIES["image_encoder"]["open_clip"]


def test_every_role_has_an_embedded_model(monkeypatch, tmp_path):
    def model_path(name):
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        for library in LIBRARIES.values():
            for entry in library.values():
                (path / entry.marker).write_text("{}")
        return path

    assets(monkeypatch, model_path)
    settings = ModelSettings()
    names = [parse_spec(role, getattr(settings, role)).folder.name for role in LIBRARIES]
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
        ("image_encoder", "timm:embedded", "image-encoder.*expected one of open_clip"),
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


def test_missing_library(monkeypatch, folder):
    loader = Library("no_such_module_anywhere:load", 1, "open_clip_config.json")
    monkeypatch.setitem(LIBRARIES["image_encoder"], "open_clip", loader)
    spec = parse_spec("image_encoder", f"open_clip:{folder}")
    with pytest.raises(ModelError, match=r"image-encoder: open_clip cannot be imported.*pip"):
        load_model(LoadContext(spec, "cpu", ModelSettings()))


def test_a_folder_that_does_not_load(spec, folder):
    parts = {"model_cfg": {"vision_cfg": {}, "text_cfg": {}}}
    (folder / "open_clip_config.json").write_text(json.dumps(parts))
    (folder / "weights.safetensors").write_bytes(b"weights")
    with pytest.raises(ModelError, match="open_clip cannot load"):
        load_model(LoadContext(spec, "cpu", ModelSettings()))


def options_of(role, text):
    return parse_spec(role, text).options


def test_options_stand_behind_a_question_mark():
    chosen = options_of(
        "image_generator",
        "diffusers:embedded?steps=1&guidance=0&size=512&dtype=fp16&batch=4&offload=model",
    )
    assert chosen == ModelOptions(
        steps=1, guidance=0.0, size=512, dtype="fp16", batch=4, offload="model"
    )
    assert options_of("captioner", "transformers:embedded?max-tokens=40").max_tokens == 40
    assert options_of("captioner", "transformers:embedded") == ModelOptions()
    assert options_of("captioner", "transformers:embedded?") == ModelOptions()
    assert ModelOptions() == ModelOptions(dtype="fp32", offload="none")


def test_options_may_end_any_spec(folder):
    (folder / "model_index.json").write_text("{}")
    spec = parse_spec("image_generator", f"diffusers:{folder}?steps=2", "some-key")
    assert (spec.folder, spec.options.steps) == (folder, 2)
    assert (spec.key, spec.text) == ("some-key", f"diffusers:{folder}?steps=2")


@pytest.mark.parametrize(
    ("role", "options", "message"),
    [
        (
            "image_generator",
            "step=2",
            "unknown option 'step', expected .*did you mean 'steps'",
        ),
        ("captioner", "steps=2", "captioner.*'steps', expected one of batch, dtype, max-tokens"),
        ("image_encoder", "dtype=fp16", r"open_clip takes no options here, found '\?dtype=fp16'"),
        ("image_generator", "steps=0", "steps='0': .*greater than or equal to 1"),
        ("image_generator", "steps=two&size=-1", "steps='two': .*; size='-1': .*"),
        ("image_generator", "guidance=nan", "guidance='nan': "),
        ("captioner", "dtype=int8", "dtype='int8': .*'fp32', 'bf16' or 'fp16'"),
        ("image_generator", "steps", "steps='': "),
    ],
)
def test_wrong_options_are_named(role, options, message):
    library = {"captioner": "transformers", "image_encoder": "open_clip"}.get(role, "diffusers")
    with pytest.raises(ModelError, match=message):
        parse_spec(role, f"{library}:embedded?{options}")


def test_a_library_of_ones_own_is_one_file_and_one_line(tmp_path, monkeypatch):
    (tmp_path / "colour_library.py").write_text(COLOURS)
    monkeypatch.syspath_prepend(tmp_path)
    entry = Library("colour_library:load", 3, "colours.json", options=("size",))
    monkeypatch.setitem(LIBRARIES["image_encoder"], "colours", entry)
    model = tmp_path / "model"
    model.mkdir()
    (model / "colours.json").write_text('{"width": 3}')
    save_file({"scale": torch.tensor([1.0, 0.5, 0.25])}, model / "w.safetensors")
    settings = ModelSettings(image_encoder=f"colours:{model}?size=2", image_grid=1)
    models = FoundationModels(settings)
    models.require(["image_encoder"])
    assert models.identities()["image-encoder"]["spec"] == settings.image_encoder
    assert models.space("image") is None
    (item,) = models.encoder("image").encode([Image.new("RGB", (4, 4), (255, 255, 255))])
    assert item.pooled.tolist() == [1.0, 0.5, 0.25]
    assert item.tokens.shape == (1, 3)
    before = models.fingerprint("image_encoder")
    save_file({"scale": torch.ones(3)}, model / "w.safetensors")
    assert FoundationModels(settings).fingerprint("image_encoder") != before
    with pytest.raises(ModelError, match="did you mean 'colours'"):
        parse_spec("image_encoder", f"colors:{model}")


COLOURS = """
import numpy
import torch
from safetensors.torch import load_file

from fedmvp_flwr.foundation.tokens import pool_to_grid, to_features


class ColourEncoder:
    token_width = pooled_width = 3

    def __init__(self, scale, size, grid):
        self.scale, self.size, self.grid = scale, size, grid

    def encode(self, items):
        pixels = [numpy.array(image.resize((self.size, self.size))) for image in items]
        maps = torch.tensor(numpy.stack(pixels)).permute(0, 3, 1, 2) / 255
        return to_features(pool_to_grid(maps, self.grid), maps.mean(dim=(2, 3)) * self.scale)


def load(context):
    scale = load_file(context.spec.folder / "w.safetensors")["scale"]
    return ColourEncoder(scale, context.spec.options.size, context.settings.image_grid)
"""
