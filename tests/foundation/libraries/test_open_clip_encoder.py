"""Both sides of a tiny open_clip model, loaded by its path."""

import json

import pytest
import torch
from safetensors.torch import save_file

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.bundle import FoundationModels

TEXTS = ["a red flower", "", "a red flower with five round petals , the centre is blue .", "花 🌸"]


@pytest.fixture(scope="module")
def models(built):
    spec = f"open_clip:local:{built('open_clip')}"
    settings = ModelSettings(image_encoder=spec, text_encoder=spec, text_max_tokens=10)
    return FoundationModels(settings)


def encoder_of(spec, image_grid=2):
    return FoundationModels(ModelSettings(image_encoder=spec, image_grid=image_grid)).image_encoder


def test_image_features_have_the_promised_shapes(models, images):
    encoder = models.image_encoder
    features = encoder.encode(images)
    assert encoder.encode([]) == []
    assert len(features) == len(images)
    for item in features:
        assert item.tokens.shape == (9, encoder.token_width)
        assert item.pooled.shape == (encoder.pooled_width,)
        assert item.tokens.dtype == item.pooled.dtype == torch.float16
        assert item.pooled.float().norm() == pytest.approx(1, abs=2e-3)


def test_image_tokens_are_the_pooled_map_of_the_last_layer(models, images):
    clip = models.image_encoder._clip
    pixels = torch.stack([clip.preprocess(images[1])])
    visual = clip.model.visual
    with torch.inference_mode():
        last = visual.ln_post(visual.transformer(visual._embeds(pixels)))[:, 1:]
        grid = last.reshape(4, 4, -1)
        pooled = clip.model.encode_image(pixels, normalize=True)[0]
    corner = grid[:2, :2].mean(dim=(0, 1))  # adaptive pooling 4 -> 3: rows 0..1, columns 0..1
    feature = models.image_encoder.encode([images[1]])[0]
    assert torch.allclose(feature.tokens[0].float(), corner, atol=2e-3)
    assert torch.allclose(feature.pooled.float(), pooled, atol=2e-3)


def test_grey_and_transparent_images_are_taken_as_rgb(models, images):
    grey = images[0].convert("L")
    as_rgb, as_grey = models.image_encoder.encode([grey.convert("RGB"), grey])
    assert torch.equal(as_rgb.pooled, as_grey.pooled)


def test_text_tokens_have_their_real_length(models):
    features = models.text_encoder.encode(TEXTS)
    assert models.text_encoder.encode([]) == []
    assert [len(item.tokens) for item in features] == [5, 2, 10, 4]  # [CLS] and [SEP] included
    for item in features:
        assert item.tokens.shape[1] == models.text_encoder.token_width
        assert item.pooled.shape == (models.text_encoder.pooled_width,)
        assert item.tokens.dtype == torch.float16


def test_text_pooled_is_the_joint_space_embedding(models):
    clip = models.text_encoder._clip
    with torch.inference_mode():
        oracle = clip.model.encode_text(clip.tokenizer(TEXTS), normalize=True)
    mine = torch.stack([item.pooled for item in models.text_encoder.encode(TEXTS)])
    assert torch.allclose(mine.float(), oracle, atol=2e-3)


@pytest.mark.parametrize("role", ["image_encoder", "text_encoder"])
def test_encoders_treat_items_alike_alone_and_in_a_batch(role, models, images):
    encoder = getattr(models, role)
    items = images if role == "image_encoder" else TEXTS
    for item, feature in zip(items, encoder.encode(items), strict=True):
        alone = encoder.encode([item])[0]
        assert torch.allclose(alone.tokens.float(), feature.tokens.float(), atol=4e-3)
        assert torch.allclose(alone.pooled.float(), feature.pooled.float(), atol=2e-3)


def test_a_grid_beyond_the_model_is_refused(built):
    with pytest.raises(ModelError, match=r"image-encoder=.*image-grid=5: .*only \(4, 4\)"):
        encoder_of(f"open_clip:{built('open_clip')}", image_grid=5)


def test_a_text_tower_of_its_own_class_works_as_well(models, built):
    spec = f"open_clip:{built('open_clip', custom_text=True)}"
    models = FoundationModels(models.settings.model_copy(update={"text_encoder": spec}))
    assert [len(item.tokens) for item in models.text_encoder.encode(TEXTS)] == [5, 2, 10, 4]
    assert not models.comparable


def test_open_clip_weights_of_a_named_architecture(tmp_path, images):
    import open_clip

    config = {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 16, "patch_size": 4, "layers": 1, "width": 64},
        "text_cfg": {
            "context_length": 12,
            "vocab_size": 49408,
            "width": 64,
            "heads": 1,
            "layers": 1,
        },
    }
    (tmp_path / "tiny-test-arch.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "tiny-test-arch.json")
    model = open_clip.create_model("tiny-test-arch", pretrained=None)
    state = {key: tensor.contiguous() for key, tensor in model.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    spec = f"open_clip:tiny-test-arch:{tmp_path}"
    with pytest.raises(ModelError, match=r"holds no open_clip_config\.json"):
        encoder_of(spec)
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(ModelError, match="preprocess_cfg"):
        encoder_of(spec)
    scaling = {"preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(scaling))
    models = FoundationModels(ModelSettings(image_encoder=spec, text_encoder=spec))
    assert models.comparable
    item = models.image_encoder.encode(images[:1])[0]
    assert item.tokens.shape == (9, 64)
    clip = models.image_encoder._clip
    assert "0.25" in str(clip.preprocess)
    assert torch.equal(clip.model.visual.proj, model.visual.proj)
    assert models.text_encoder.encode(["a"])[0].tokens.shape[0] == 3
    with pytest.raises(ModelError, match="did you mean 'tiny-test-arch'"):
        encoder_of(f"open_clip:tiny-test-arc:{tmp_path}")


def test_a_tokenizer_is_of_the_folder_or_open_clips_own(copied):
    folder = copied("open_clip")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ModelError, match=f"image-encoder: .*cannot load {folder}"):
        encoder_of(f"open_clip:{folder}")
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    del config["model_cfg"]["text_cfg"]["hf_tokenizer_name"]
    path.write_text(json.dumps(config))
    assert encoder_of(f"open_clip:{folder}").token_width
