"""Image encoders of transformers, each real class built tiny and loaded by its path."""

import pytest
import torch

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.bundle import FoundationModels

TEXTS = ["a red flower", "", "a red flower with five round petals , the centre is blue .", "花 🌸"]


IMAGES = {
    "clip": "hf_clip",
    "siglip": "siglip",
    "vit": "vit",
    "registers": "dino_with_registers",
    "convnext": "convnext",
}


def image_encoder(spec, grid=2):
    return FoundationModels(ModelSettings(image_encoder=spec, image_grid=grid)).image_encoder


def close(left, right):
    return torch.allclose(left.float(), right.float(), atol=4e-3)


@pytest.mark.parametrize("kind", IMAGES)
def test_image_features_have_the_promised_shapes(kind, built, images):
    encoder = image_encoder(f"transformers:{built(IMAGES[kind])}")
    for item, alone in zip(encoder.encode(images), images, strict=True):
        assert item.tokens.shape == (4, encoder.token_width)
        assert item.pooled.shape == (encoder.pooled_width,)
        assert item.tokens.dtype == item.pooled.dtype == torch.float16
        assert item.pooled.float().norm() == pytest.approx(1, abs=2e-3)
        (again,) = encoder.encode([alone])
        assert close(again.tokens, item.tokens)
        assert close(again.pooled, item.pooled)
    assert encoder.encode([]) == []


@pytest.mark.parametrize(("kind", "leading"), [("vit", 1), ("registers", 3), ("siglip", 0)])
def test_class_and_register_tokens_stay_out_of_the_grid(kind, leading, built, images):
    encoder = image_encoder(f"transformers:{built(IMAGES[kind])}", grid=4)
    pixels = encoder._processor(images=images[:1], return_tensors="pt")["pixel_values"]
    model = getattr(encoder._model, "vision_model", encoder._model)
    with torch.inference_mode():
        tokens = model(pixel_values=pixels).last_hidden_state[0]
    assert len(tokens) == 16 + leading
    mine = encoder.encode(images[:1])[0]
    assert close(mine.tokens, tokens[leading:])
    if leading:
        assert close(mine.pooled, torch.nn.functional.normalize(tokens[0], dim=0))


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_pooled_embeddings_of_an_image_text_model_are_those_of_its_joint_space(kind, built, images):
    spec = f"transformers:local:{built(IMAGES[kind])}"
    models = FoundationModels(ModelSettings(image_encoder=spec, text_encoder=spec))
    assert models.comparable
    model = models.image_encoder._model
    assert models.text_encoder._model is model  # loaded once
    pixels = models.image_encoder._processor(images=images, return_tensors="pt")
    words = models.text_encoder._tokenizer(
        TEXTS, padding="max_length", max_length=12, truncation=True, return_tensors="pt"
    )
    masks = {} if kind == "siglip" else {"attention_mask": words["attention_mask"]}
    with torch.inference_mode():
        output = model(input_ids=words["input_ids"], pixel_values=pixels["pixel_values"], **masks)
    mine = torch.stack([item.pooled for item in models.image_encoder.encode(images)])
    assert close(mine, output.image_embeds)
    mine = torch.stack([item.pooled for item in models.text_encoder.encode(TEXTS)])
    assert close(mine, output.text_embeds)


@pytest.mark.parametrize("kind", ["vit", "clip", "siglip", "registers"])
def test_a_grid_beyond_the_model_is_refused(kind, built):
    spec = f"transformers:{built(IMAGES[kind])}"
    assert image_encoder(spec, grid=4).token_width
    with pytest.raises(ModelError, match=r"image-grid=5: .*only \(4, 4\) rows"):
        image_encoder(spec, grid=5)


def test_a_model_of_the_other_modality(built):
    with pytest.raises(ModelError, match=r"image-encoder.*(cannot load|takes no images)"):
        image_encoder(f"transformers:{built('bert')}")
