"""Encoders of transformers and timm, each real class built tiny and loaded by its path."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.specs import ModelSpec

TEXTS = ["a red flower", "", "a red flower with five round petals , the centre is blue .", "花 🌸"]
IMAGES = {
    "clip": "build_hf_clip",
    "siglip": "build_siglip",
    "vit": "build_vit",
    "registers": "build_dino_with_registers",
    "convnext": "build_convnext",
}
WORDS = {"clip": "build_hf_clip", "siglip": "build_siglip", "bert": "build_bert"}


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    sizes = [(20, 24), (16, 16), (40, 16), (5, 5)]
    return [Image.fromarray(rng.integers(0, 256, (*s, 3), dtype=np.uint8)) for s in sizes]


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Build a tiny model once per module and return its folder."""
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    path = Path(__file__).with_name("tiny_models.py")
    spec = spec_from_file_location("tiny_models_of_encoders", path)
    tiny = module_from_spec(spec)
    spec.loader.exec_module(tiny)
    root = tmp_path_factory.mktemp("encoders")
    made = {}

    def get(builder, *arguments, **options):
        key = (builder, arguments, tuple(options.items()))
        if key not in made:
            made[key] = getattr(tiny, builder)(
                root / f"{builder}-{len(made)}", *arguments, **options
            )
        return made[key]

    return get


def image_encoder(spec, grid=2):
    return FoundationModels(RunConfig.of(image_encoder=spec, image_grid=grid)).image_encoder


def text_encoder(spec, longest=10):
    return FoundationModels(RunConfig.of(text_encoder=spec, text_max_tokens=longest)).text_encoder


def close(left, right):
    return torch.allclose(left.float(), right.float(), atol=4e-3)


@pytest.mark.parametrize("kind", IMAGES)
def test_image_features_have_the_promised_shapes(kind, build, images):
    encoder = image_encoder(f"transformers:{build(IMAGES[kind])}")
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
def test_class_and_register_tokens_stay_out_of_the_grid(kind, leading, build, images):
    encoder = image_encoder(f"transformers:{build(IMAGES[kind])}", grid=4)
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
def test_pooled_embeddings_of_an_image_text_model_are_those_of_its_joint_space(kind, build, images):
    spec = f"transformers:local:{build(IMAGES[kind])}"
    models = FoundationModels(RunConfig.of(image_encoder=spec, text_encoder=spec))
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


@pytest.mark.parametrize("kind", WORDS)
def test_text_tokens_have_their_real_length(kind, build):
    encoder = text_encoder(f"transformers:{build(WORDS[kind])}")
    features = encoder.encode(TEXTS)
    assert [len(item.tokens) for item in features] == [5, 2, 10, 4]  # [CLS] and [SEP] included
    for text, item in zip(TEXTS, features, strict=True):
        assert item.tokens.shape[1] == encoder.token_width
        assert item.pooled.float().norm() == pytest.approx(1, abs=2e-3)
        (alone,) = encoder.encode([text])
        assert close(alone.tokens, item.tokens)
        assert close(alone.pooled, item.pooled)
    assert encoder.encode([]) == []


@pytest.mark.parametrize(
    ("pooling", "expected"), [(None, "mean"), ("mean", "mean"), ("cls", "cls")]
)
def test_a_text_model_pools_as_its_folder_says(pooling, expected, build):
    encoder = text_encoder(f"transformers:{build('build_bert', pooling=pooling)}")
    item = encoder.encode(["a red flower"])[0]
    tokens = item.tokens.float()
    oracle = tokens[0] if pooling == "cls" else tokens.mean(dim=0)
    assert close(item.pooled, torch.nn.functional.normalize(oracle, dim=0))


def test_another_pooling_is_refused(build):
    with pytest.raises(ModelError, match="pooling over the mean or the class token"):
        text_encoder(f"transformers:{build('build_bert', pooling='max')}")


def test_a_text_model_reads_no_more_than_the_setting(build):
    folder = build("build_bert")
    short = text_encoder(f"transformers:{folder}", longest=4).encode([TEXTS[2]])[0]
    assert len(short.tokens) == 4
    cut = text_encoder(f"transformers:{folder}").encode(["a red"])[0]
    assert close(short.tokens, cut.tokens)  # [CLS] a red [SEP]


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit"])
def test_timm_features(name, build, images):
    import timm

    folder = build("build_timm", name)
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


def test_a_timm_weights_file_may_be_named(build, tmp_path):
    folder = build("build_timm")
    for name in ("one.safetensors", "two.safetensors"):
        (tmp_path / name).write_bytes((folder / "model.safetensors").read_bytes())
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(ModelError, match=r"one\.safetensors, two\.safetensors"):
        image_encoder(f"timm:test_efficientnet:{tmp_path}")
    assert image_encoder(f"timm:test_efficientnet:{tmp_path}/two.safetensors").token_width


@pytest.mark.parametrize(
    ("changes", "name", "message"),
    [
        ({"pretrained_cfg": {"mean": [0, 0, 0]}}, "test_efficientnet", "lacks std, input_size"),
        ({"pretrained_cfg": None}, "test_efficientnet", "pretrained_cfg"),
        ({}, "test_vit", "holds 'test_efficientnet', but image-encoder names 'test_vit'"),
        ({"architecture": "no_such_net"}, "no_such_net", "timm knows no model 'no_such_net'"),
        ({"num_classes": 7}, "test_efficientnet", "cannot load"),
    ],
)
def test_wrong_timm_folders(changes, name, message, build):
    folder = build("build_timm")
    config = json.loads((folder / "config.json").read_text())
    other = folder.with_name(f"wrong-{len(list(folder.parent.iterdir()))}")
    other.mkdir()
    (other / "config.json").write_text(json.dumps(config | changes))
    (other / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match=message):
        image_encoder(f"timm:{name}:{other}")


@pytest.mark.parametrize(
    ("role", "builder", "message"),
    [
        ("image_encoder", "build_bert", "cannot load|takes no images"),
        ("text_encoder", "build_vit", "cannot load|no text encoder"),
    ],
)
def test_a_model_of_the_other_modality(role, builder, message, build):
    models = FoundationModels(RunConfig.of(**{role: f"transformers:{build(builder)}"}))
    with pytest.raises(ModelError, match=message):
        getattr(models, role)


def test_a_checkpoint_that_lacks_weights_is_refused(build, tmp_path):
    folder = build("build_bert")
    for path in folder.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    state = load_file(folder / "model.safetensors")
    lost = next(key for key in state if "attention" in key)
    del state[lost]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks 1 weights"):
        text_encoder(f"transformers:{tmp_path}")


def test_a_grid_beyond_the_model_is_refused(build):
    for spec in (f"transformers:{build('build_vit')}", f"timm:local:{build('build_timm')}"):
        with pytest.raises(ModelError, match="image-grid=9"):
            image_encoder(spec, grid=9)


def test_encoders_of_two_models_share_no_space(build):
    vit, bert = build("build_vit"), build("build_bert")
    config = RunConfig.of(image_encoder=f"transformers:{vit}", text_encoder=f"transformers:{bert}")
    models = FoundationModels(config)
    assert models.space("image") is models.space("text") is None
    assert not models.comparable


def test_open_clip_weights_of_a_named_architecture(build, tmp_path, images):
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
        image_encoder(spec)
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(ModelError, match="preprocess_cfg"):
        image_encoder(spec)
    scaling = {"preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(scaling))
    models = FoundationModels(RunConfig.of(image_encoder=spec, text_encoder=spec))
    assert models.comparable
    item = models.image_encoder.encode(images[:1])[0]
    assert item.tokens.shape == (9, 64)
    clip = models.image_encoder._clip
    assert "0.25" in str(clip.preprocess)
    assert torch.equal(clip.model.visual.proj, model.visual.proj)
    assert models.text_encoder.encode(["a"])[0].tokens.shape[0] == 3
    with pytest.raises(ModelError, match="did you mean 'tiny-test-arch'"):
        image_encoder(f"open_clip:tiny-test-arc:{tmp_path}")


def test_the_architecture_is_part_of_the_name(build):
    folder = build("build_timm")
    models = FoundationModels(RunConfig.of(image_encoder=f"timm:test_efficientnet:{folder}"))
    other = FoundationModels(RunConfig.of(image_encoder=f"timm:local:{folder}"))
    assert models.fingerprint("image_encoder") != other.fingerprint("image_encoder")
    assert models.spec("image_encoder") == ModelSpec(
        "image_encoder", "timm", folder, "test_efficientnet"
    )
