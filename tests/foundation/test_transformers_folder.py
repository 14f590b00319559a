"""A sentence encoder is taken only if we pool and go on as its own library does."""

import json

import pytest

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.errors import ModelError
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.checks import model_problems
from fedmvp_flwr.foundation.specs import parse_spec
from fedmvp_flwr.foundation.transformers_folder import pooling_of


def list_modules(folder, *modules):
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))


def test_the_known_modules_are_taken(tmp_path):
    assert pooling_of(tmp_path) == "mean"
    (tmp_path / "9_Pooling").mkdir()
    (tmp_path / "9_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    list_modules(
        tmp_path, ("Transformer", ""), ("Pooling", "9_Pooling"), ("Normalize", "2_Normalize")
    )
    assert pooling_of(tmp_path) == "cls"


def test_another_module_is_refused_by_preflight_and_loader(tiny_models_module, tmp_path):
    folder = tiny_models_module.build_bert(tmp_path / "bert", pooling="mean")
    list_modules(folder, ("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"))
    spec = f"transformers:{folder}"
    (found,) = model_problems(parse_spec("text_encoder", spec), RunConfig())
    assert "modules.json lists the module '2_Dense' (Dense), which is not computed" in found
    with pytest.raises(ModelError, match="2_Dense"):
        _ = FoundationModels(RunConfig(text_encoder=spec)).text_encoder


@pytest.mark.parametrize("text", ["{", "{}", "[1]"])
def test_a_malformed_list_of_modules(text, tmp_path):
    (tmp_path / "modules.json").write_text(text)
    with pytest.raises(ModelError, match=r"modules\.json: expected"):
        pooling_of(tmp_path)


def test_an_image_text_model_pools_by_itself(tiny_models_module, tmp_path):
    folder = tiny_models_module.build_hf_clip(tmp_path / "clip")
    list_modules(folder, ("CLIPModel", ""))
    spec = f"transformers:{folder}"
    assert model_problems(parse_spec("text_encoder", spec), RunConfig()) == []
    assert FoundationModels(RunConfig(text_encoder=spec)).text_encoder.pooled_width
