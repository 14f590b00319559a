"""A sentence encoder is taken only if we pool and go on as its own library does."""

import json

import pytest

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.folders.checks import model_problems
from fedmvp_flwr.foundation.folders.completeness import missing_files
from fedmvp_flwr.foundation.folders.transformers_folder import pooling_of
from fedmvp_flwr.foundation.specs import LoadContext, check_model, parse_spec


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
    (found,) = model_problems(parse_spec("text_encoder", spec), RunConfig.of())
    assert "modules.json lists the module '2_Dense' (Dense), which is not computed" in found
    with pytest.raises(ModelError, match="2_Dense"):
        _ = FoundationModels(RunConfig.of(text_encoder=spec)).text_encoder


@pytest.mark.parametrize("text", ["{", "{}", "[1]"])
def test_a_malformed_list_of_modules(text, tmp_path):
    (tmp_path / "modules.json").write_text(text)
    with pytest.raises(ModelError, match=r"modules\.json: expected"):
        pooling_of(tmp_path)


def test_an_image_text_model_pools_by_itself(tiny_models_module, tmp_path):
    folder = tiny_models_module.build_hf_clip(tmp_path / "clip")
    list_modules(folder, ("CLIPModel", ""))
    spec = f"transformers:{folder}"
    assert model_problems(parse_spec("text_encoder", spec), RunConfig.of()) == []
    assert FoundationModels(RunConfig.of(text_encoder=spec)).text_encoder.pooled_width


def test_a_listed_pooling_that_is_not_there_is_no_mean(tiny_models_module, tmp_path):
    """As `cp *` without -r leaves a sentence encoder."""
    folder = tiny_models_module.build_bert(tmp_path / "bert", pooling="cls")
    list_modules(folder, ("Transformer", ""), ("Pooling", "1_Pooling"))
    config = RunConfig.of(text_encoder=f"transformers:{folder}")
    spec = parse_spec("text_encoder", config.models.text_encoder)
    assert missing_files(spec) == []
    (folder / "1_Pooling" / "config.json").unlink()
    assert missing_files(spec) == ["1_Pooling/config.json"]
    (found,) = model_problems(spec, config)
    assert "lacks 1 file(s): 1_Pooling/config.json" in found
    message = r"modules\.json lists.*'1_Pooling'.*1_Pooling/config\.json is not there.*cp -r"
    with pytest.raises(ModelError, match=message):
        check_model(spec, LoadContext(folder, "cpu", config, {}))
    with pytest.raises(ModelError, match=message):
        _ = FoundationModels(config).text_encoder


def test_a_malformed_list_of_modules_is_told_by_the_check(tiny_models_module, tmp_path):
    folder = tiny_models_module.build_bert(tmp_path / "bert")
    (folder / "modules.json").write_text("{}")
    spec = parse_spec("text_encoder", f"transformers:{folder}")
    assert missing_files(spec) == []
    (found,) = model_problems(spec, RunConfig.of())
    assert "modules.json: expected a list" in found
