"""What a folder says of its model's size, before anything is loaded."""

import json

import pytest

from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.folders.declared import declared_side, declared_width

ENCODERS = {
    "vit": ("image_encoder", "transformers"),
    "timm": ("image_encoder", "timm"),
    "hf_clip": ("text_encoder", "transformers"),
    "bert": ("text_encoder", "transformers"),
    "open_clip": ("text_encoder", "open_clip"),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_no_encoder_is_wider_than_its_folder_says(name, built):
    role, library = ENCODERS[name]
    models = FoundationModels(ModelSettings(image_grid=1, **{role: f"{library}:{built(name)}"}))
    encoder, spec = getattr(models, role), models.spec(role)
    declared = declared_width(spec.folder / spec.library.marker)
    assert max(encoder.token_width, encoder.pooled_width) <= declared <= 1280


def test_no_image_is_larger_than_its_folder_says(built, tmp_path):
    for name in ("pixart", "stable_diffusion"):
        assert 16 <= declared_side(built(name)) < 1024
    assert declared_side(tmp_path) == 1024
    (tmp_path / "fedmvp.json").write_text(json.dumps({"call": {"height": 64, "width": 96}}))
    assert declared_side(tmp_path) == 96
