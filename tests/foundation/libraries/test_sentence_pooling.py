"""A sentence encoder is taken only if we pool and go on as its own library does."""

import json

import pytest

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.libraries.sentence_pooling import pooling_of


def text_encoder(folder):
    return FoundationModels(ModelSettings(text_encoder=f"transformers:{folder}")).text_encoder


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


def test_another_module_is_refused(copied):
    folder = copied("bert", pooling="mean")
    list_modules(folder, ("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"))
    message = r"modules\.json lists the module '2_Dense' \(Dense\), which is not computed"
    with pytest.raises(ModelError, match=message):
        text_encoder(folder)


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_malformed_list_of_modules(text, tmp_path):
    (tmp_path / "modules.json").write_text(text)
    with pytest.raises(ModelError, match=r"modules\.json: expected"):
        pooling_of(tmp_path)


def test_an_image_text_model_pools_by_itself(copied):
    folder = copied("hf_clip")
    list_modules(folder, ("CLIPModel", ""))
    assert text_encoder(folder).pooled_width


def test_a_listed_pooling_that_is_not_there_is_no_mean(copied):
    """As `cp *` without -r leaves a sentence encoder."""
    folder = copied("bert", pooling="cls")
    list_modules(folder, ("Transformer", ""), ("Pooling", "1_Pooling"))
    assert text_encoder(folder).pooled_width
    (folder / "1_Pooling" / "config.json").unlink()
    message = r"modules\.json lists.*'1_Pooling'.*1_Pooling/config\.json is not there.*cp -r"
    with pytest.raises(ModelError, match=message):
        text_encoder(folder)
