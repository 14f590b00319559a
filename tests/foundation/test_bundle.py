"""The models of a run: named at once, loaded when needed, refused where they are not whole."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.completion.registry import frozen_models
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.bundle import FoundationModels

LIBRARIES = {  # of the tiny models
    "vit": ("image_encoder", "transformers"),
    "timm": ("image_encoder", "timm"),
    "open_clip": ("image_encoder", "open_clip"),
    "bert": ("text_encoder", "transformers"),
    "blip": ("captioner", "transformers"),
    "blip2": ("captioner", "transformers"),
    "hf_clip": ("text_encoder", "transformers"),
    "pixart": ("image_generator", "diffusers"),
    "stable_diffusion": ("image_generator", "diffusers"),
}


@pytest.fixture(scope="module")
def config(built):
    return RunConfig.of(
        image_encoder=f"open_clip:local:{built('open_clip')}",
        text_encoder=f"open_clip:local:{built('open_clip')}",
        captioner=f"transformers:local:{built('blip')}",
        image_generator=f"diffusers:local:{built('pixart')}",
    )


def load(name, folder):
    """Load a tiny model of this name from a folder."""
    role, library = LIBRARIES[name]
    settings = ModelSettings(image_grid=1, **{role: f"{library}:{folder}"})
    return getattr(FoundationModels(settings), role)


def test_models_are_loaded_at_first_use_and_released(config):
    models = frozen_models(config)
    assert models.comparable
    assert len(models.fingerprint("captioner")) == 64
    assert models.models_loaded == ()
    first = models.image_encoder
    assert models.image_encoder is first
    assert models.encoder("text")._clip is first._clip
    assert models.models_loaded == ("image_encoder", "text_encoder")
    models.release()
    assert models.models_loaded == ()
    assert models.image_encoder is not first


def test_models_that_a_run_does_not_need_may_be_missing(config):
    update = {"completion": "none", "captioner": "transformers:local:/no/such/folder"}
    models = frozen_models(config.changed(**update))
    with pytest.raises(ModelError, match="does not exist"):
        models.fingerprint("captioner")
    with pytest.raises(ModelError, match="does not exist"):
        frozen_models(config.changed(**{**update, "completion": "foundation"}))


@pytest.mark.slow
def test_naming_models_imports_no_library():
    code = (
        "import sys; import fedmvp_flwr.foundation.bundle, fedmvp_flwr.completion.pipeline; "
        "heavy = {'transformers', 'diffusers', 'open_clip', 'timm', 'datasets', 'ray', 'PIL'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_loading_uses_no_network(config, no_network):
    models = frozen_models(config)
    loaded = (models.image_encoder, models.text_encoder, models.captioner, models.image_generator)
    assert len(models.models_loaded) == len(loaded)


def test_items_per_call_are_an_option_of_the_model(config, built):
    update = {"captioner": f"transformers:{built('blip')}?batch=3", "foundation_batch_size": 50}
    models = FoundationModels(config.changed(**update).models)
    assert (models.at_once("captioner"), models.at_once("image_generator")) == (3, 50)


def test_encoders_of_two_models_share_no_space(built):
    vit, bert = f"transformers:{built('vit')}", f"transformers:{built('bert')}"
    models = FoundationModels(ModelSettings(image_encoder=vit, text_encoder=bert))
    assert models.space("image") is models.space("text") is None
    assert not models.comparable


def test_the_architecture_is_part_of_the_name(built):
    folder = built("timm")
    models = FoundationModels(ModelSettings(image_encoder=f"timm:test_efficientnet:{folder}"))
    other = FoundationModels(ModelSettings(image_encoder=f"timm:local:{folder}"))
    assert models.fingerprint("image_encoder") != other.fingerprint("image_encoder")
    spec = models.spec("image_encoder")
    assert (spec.folder, spec.architecture) == (folder, "test_efficientnet")


@pytest.mark.parametrize(
    ("name", "part", "stem"),
    [
        ("vit", "", "model"),
        ("blip", "", "model"),
        ("pixart", "text_encoder", "model"),
        ("pixart", "transformer", "diffusion_pytorch_model"),
    ],
)
def test_split_weights_that_are_pickles_are_never_opened(name, part, stem, copied, monkeypatch):
    folder = copied(name)
    path = folder / part / f"{stem}.safetensors"
    names = dict.fromkeys(load_file(path), "w.bin")
    index = json.dumps({"metadata": {"total_size": 1}, "weight_map": names})
    (folder / part / f"{stem}.safetensors.index.json").write_text(index)
    torch.save(load_file(path), folder / part / "w.bin")
    path.rename(path.with_name("other.safetensors"))
    opened = []
    monkeypatch.setattr(torch, "load", lambda file, *_, **__: opened.append(file))
    with pytest.raises(ModelError, match=r"index\.json: names 'w\.bin'; expected names of"):
        load(name, folder)
    assert opened == []


@pytest.mark.parametrize("named", ["adapter_model.bin", "../model.safetensors", 3])
def test_a_config_that_names_other_weights(named, copied):
    folder = copied("blip")
    (folder / "adapter_model.bin").write_bytes(b"a pickle")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"transformers_weights": named}))
    with pytest.raises(ModelError, match=f"captioner=.*'transformers_weights' is {named!r}"):
        load("blip", folder)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("bert", "model.safetensors"),
        ("timm", "model.safetensors"),
        ("open_clip", "open_clip_model.safetensors"),
        ("blip", "model.safetensors"),
        ("pixart", "transformer/diffusion_pytorch_model.safetensors"),
        ("pixart", "text_encoder/model.safetensors"),
        ("bert", "config.json"),
        ("timm", "config.json"),
        ("open_clip", "open_clip_config.json"),
        ("pixart", "model_index.json"),
        ("pixart", "transformer/config.json"),
        ("bert", "tokenizer.json"),
        ("vit", "preprocessor_config.json"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_model_and_folder(name, file, copied):
    folder = copied(name)
    path = folder / file
    path.write_bytes(path.read_bytes()[:-10])
    key = LIBRARIES[name][0].replace("_", "-")
    with pytest.raises(ModelError, match=f"(?s)^{key}[:=].*{folder}"):
        load(name, folder)


TOKENIZER = ("tokenizer*", "vocab*", "special*", "merges*")


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("vit", ["preprocessor_config.json"]),
        ("bert", TOKENIZER),
        ("bert", ["tokenizer.json", "vocab*"]),
        ("hf_clip", TOKENIZER),
        ("open_clip", TOKENIZER),
        ("blip", TOKENIZER),
        ("blip", ["*processor_config.json"]),
        ("blip2", TOKENIZER),
        ("stable_diffusion", ["unet/*.safetensors"]),
        ("stable_diffusion", ["vae/config.json"]),
        ("stable_diffusion", ["scheduler/*"]),
        ("stable_diffusion", ["tokenizer/*"]),
    ],
)
def test_a_missing_file_is_an_error_that_names_model_and_folder(name, gone, copied):
    """Also where its library would go on with something else, such as a tokenizer of no words."""
    folder = copied(name)
    for path in (path for pattern in gone for path in folder.glob(pattern)):
        path.unlink()
    key = LIBRARIES[name][0].replace("_", "-")
    with pytest.raises(ModelError, match=f"(?s)^{key}[:=].*{folder}"):
        load(name, folder)
