"""What an open_clip folder has to say of its model, and where its names may lead."""

import json

import pytest

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.libraries.open_clip_folder import (
    architecture_parts,
    hub_name,
    own_parts,
    scaling_of,
    weights_file,
)
from fedmvp_flwr.foundation.registry import parse_spec


@pytest.fixture
def folder(copied):
    return copied("open_clip")


def encoder_of(spec):
    return FoundationModels(ModelSettings(image_encoder=spec, image_grid=2)).image_encoder


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("vision", {"timm_model_name": "hf-hub:timm/resnet18.a1_in1k"}, "'timm_model_name' is 'hf"),
        ("vision", {"timm_model_name": "hf_hub:timm/resnet18"}, "'timm_model_name' is 'hf_hub"),
        ("vision", {"timm_model_name": "local-dir:/x"}, "'timm_model_name' is 'local-dir:/x'"),
        ("vision", {"timm_model_name": ["resnet18"]}, ".*plain name of one of timm's"),
        ("text", {"hf_model_name": "roberta-base"}, "'hf_model_name' is 'roberta-base'"),
    ],
)
def test_no_part_of_a_model_comes_from_elsewhere(part, changes, message, folder, no_network):
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["model_cfg"][f"{part}_cfg"] |= changes
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"{path}: {message}"):
        encoder_of(f"open_clip:{folder}")


def test_a_named_architecture_with_a_text_model_of_the_hub(folder, no_network):
    spec = f"open_clip:roberta-ViT-B-32:{folder}"
    message = "open_clip's model 'roberta-ViT-B-32': 'hf_model_name' is 'roberta-base'"
    with pytest.raises(ModelError, match=message):
        encoder_of(spec)


def test_what_an_architecture_needs_of_its_folder(folder):
    with pytest.raises(ModelError, match=r"open_clip knows no model 'ViT-B-3' \(did you mean"):
        encoder_of(f"open_clip:ViT-B-3:{folder}")
    path = folder / "open_clip_config.json"
    path.write_text('{"preprocess_cfg": 1}')
    with pytest.raises(ModelError, match=f"{path}: expected"):
        encoder_of(f"open_clip:ViT-B-32:{folder}")
    with pytest.raises(ModelError, match=f"{path}: expected an object under 'model_cfg'"):
        encoder_of(f"open_clip:{folder}")


def test_parts_and_scaling_are_those_of_the_config(folder):
    config = json.loads((folder / "open_clip_config.json").read_text())
    assert own_parts(folder) == config["model_cfg"]
    scaling, found = config["preprocess_cfg"], scaling_of(folder)
    assert found["image_mean"] == tuple(scaling["mean"])
    assert found["image_std"] == tuple(scaling["std"])
    assert found["image_resize_mode"] == scaling.get("resize_mode")


def test_names_lead_to_the_hub_or_are_refused():
    assert hub_name("ViT-B-32", "laion2b_s34b_b79k") == "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
    assert architecture_parts("ViT-B-32")["vision_cfg"]["patch_size"] == 32
    with pytest.raises(ModelError, match=r"no pretrained tag 'laion2b_s34b_b79'.*did you mean"):
        hub_name("ViT-B-32", "laion2b_s34b_b79")
    with pytest.raises(ModelError, match="no model 'ViT-B-31'"):
        hub_name("ViT-B-31", "laion2b_s34b_b79k")


def test_the_named_file_counts(folder):
    (only,) = folder.glob("*.safetensors")
    assert weights_file(parse_spec("image_encoder", f"open_clip:{folder}")) == only
    other = folder / "other.safetensors"
    other.write_bytes(only.read_bytes())
    assert weights_file(parse_spec("image_encoder", f"open_clip:{other}")) == other
    with pytest.raises(ModelError, match="Name the file"):
        weights_file(parse_spec("image_encoder", f"open_clip:{folder}"))
