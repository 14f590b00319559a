"""Networks of timm: what its folder has to say, and what comes out."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.bundle import FoundationModels


def image_encoder(spec, grid=2):
    return FoundationModels(ModelSettings(image_encoder=spec, image_grid=grid)).image_encoder


def close(left, right):
    return torch.allclose(left.float(), right.float(), atol=4e-3)


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit"])
def test_timm_features(name, built, images):
    import timm

    folder = built("timm", name)
    encoder = image_encoder(f"timm:{name}:{folder}", grid=3)
    state = {key: t.float() for key, t in load_file(folder / "model.safetensors").items()}
    model = timm.create_model(name, num_classes=5).eval()
    model.load_state_dict({k: v.long() if "num_batches" in k else v for k, v in state.items()})
    size = 96 if name == "test_efficientnet" else 160
    pixels = np.asarray(images[1].resize((size, size), Image.Resampling.BILINEAR), dtype=float)
    pixels = torch.tensor(pixels / 127.5 - 1, dtype=torch.float32).permute(2, 0, 1)[None]
    with torch.inference_mode():
        features = model.forward_features(pixels)
        pooled = model.forward_head(features, pre_logits=True)[0]
    if features.dim() == 3:
        assert model.num_prefix_tokens == 1
        features = features[:, 1:].transpose(1, 2).unflatten(2, (10, 10))
    oracle = torch.nn.functional.adaptive_avg_pool2d(features, 3)[0].flatten(1).T
    mine = encoder.encode([images[1]])[0]
    assert mine.tokens.shape == (9, encoder.token_width)
    assert torch.allclose(mine.tokens.float(), oracle, atol=2e-2)
    assert close(mine.pooled, torch.nn.functional.normalize(pooled, dim=0))
    assert image_encoder(f"timm:local:{folder}").token_width == encoder.token_width


def test_a_timm_weights_file_may_be_named(built, tmp_path):
    folder = built("timm")
    for name in ("one.safetensors", "two.safetensors"):
        (tmp_path / name).write_bytes((folder / "model.safetensors").read_bytes())
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(ModelError, match=r"one\.safetensors, two\.safetensors"):
        image_encoder(f"timm:test_efficientnet:{tmp_path}")
    assert image_encoder(f"timm:test_efficientnet:{tmp_path}/two.safetensors").token_width


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pretrained_cfg": {"mean": [0] * 3}}, "'pretrained_cfg' lacks std, input_size"),
        ({"pretrained_cfg": None}, "pretrained_cfg"),
        ({"num_classes": 7}, "cannot load"),
        ({"architecture": "no_such_net"}, "knows no model 'no_such_net'"),
        ({"architecture": None}, "knows no model 'None'"),
        ({"architecture": "hf-hub:timm/resnet18.a1_in1k"}, "knows no model 'hf-hub:"),
        ({"architecture": "local-dir:/models/resnet18"}, "knows no model 'local-dir:"),
        ({"model_args": [1]}, "cannot load"),
        ({"model_args": {"no_such_argument": 1}}, "cannot load .*no_such_argument"),
        ({"model_args": {"checkpoint_path": "/x/w.pt"}}, "'model_args' holds checkpoint_path"),
        ({"model_args": {"pretrained": True}}, "'model_args' holds pretrained"),
        ({"model_args": {"pretrained_model_args": {}}}, "holds pretrained_model_args"),
        (
            {"model_args": {"scriptable": True, "cache_dir": "/x", "features_only": True}},
            "holds cache_dir, features_only, scriptable; expected arguments of the network",
        ),
    ],
)
def test_configs_that_are_refused(changes, message, copied):
    folder = copied("timm")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ModelError, match=f"image-encoder.*{message}"):
        image_encoder(f"timm:{folder}")


def test_another_architecture_than_the_folder_s(built):
    with pytest.raises(ModelError, match="holds 'test_efficientnet', not 'test_vit'"):
        image_encoder(f"timm:test_vit:{built('timm')}")


def test_weights_in_another_folder_are_not_found(copied):
    folder = copied("timm")
    (folder / "part").mkdir()
    (folder / "model.safetensors").rename(folder / "part" / "model.safetensors")
    with pytest.raises(ModelError, match=rf"{folder} holds no \.safetensors file"):
        image_encoder(f"timm:{folder}")
