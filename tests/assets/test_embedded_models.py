import json

import numpy as np
import pytest
import torch

import fedmvp_assets
from fedmvp_assets import MODELS, model_path
from fedmvp_assets.build import words
from fedmvp_flwr.data.sources import flora
from fedmvp_flwr.data.sources.flora import FlowerSpec

MAX_MEGABYTES = 25


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")


def flower(colour: str = "red", pattern: str = "plain", seed: int = 0) -> FlowerSpec:
    nuisance = flora.random_nuisance(np.random.default_rng(seed))
    return FlowerSpec(colour, "round", "ringed", 5, pattern, "mint", nuisance)


def generate(pipeline, call, prompts, seeds):
    noise = [torch.Generator().manual_seed(seed) for seed in seeds]
    output = pipeline(prompt=prompts, generator=noise, output_type="pil", **call)
    return [np.asarray(image).astype(int) for image in output.images]


@pytest.fixture(scope="module")
def pipeline():
    from diffusers import AutoPipelineForText2Image

    loaded = AutoPipelineForText2Image.from_pretrained(
        model_path("generator"), local_files_only=True
    )
    loaded.set_progress_bar_config(disable=True)
    return loaded


@pytest.fixture(scope="module")
def call():
    return json.loads((model_path("generator") / "fedmvp.json").read_text())["call"]


def test_all_together_stay_small():
    files = [p for name in MODELS for p in model_path(name).rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) <= MAX_MEGABYTES * 1_000_000
    assert {p.suffix for p in files} <= {".json", ".safetensors", ".txt"}


def test_unknown_and_missing_models_are_errors(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="painter"):
        model_path("painter")
    monkeypatch.setattr(fedmvp_assets, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(FileNotFoundError, match=r"python -m fedmvp_assets\.build"):
        model_path("encoder")


def test_class_names_are_not_in_the_vocabulary():
    known = set(words.vocabulary())
    for species in flora.SPECIES:
        assert not known & set(species.name.lower().split())


def test_every_word_of_the_data_set_is_known():
    tokenizer = words.build_tokenizer()
    data = flora.load_flora(num_train=240, num_test=0)
    texts = [sample.text for sample in data.splits["train"]] + list(data.class_descriptions)
    texts += [words.question_prompt(name) for name in words.VISIBLE]
    texts += [words.COARSE_PROMPT, words.DETAILED_PROMPT]
    for ids in tokenizer(texts).input_ids:
        assert tokenizer.unk_token_id not in ids
        assert len(ids) <= words.MAX_TOKENS


def test_encoder_tells_flowers_apart():
    import open_clip

    name = f"local-dir:{model_path('encoder')}"
    model, _, preprocess = open_clip.create_model_and_transforms(name, require_pretrained=True)
    tokenizer = open_clip.get_tokenizer(name)
    colours = ["red", "blue", "white"]
    with torch.inference_mode():
        pixels = torch.stack([preprocess(flower(colour).load()) for colour in colours])
        texts = tokenizer([f"a flower with five plain round {c} petals" for c in colours])
        image = model.eval().encode_image(pixels, normalize=True)
        text = model.encode_text(texts, normalize=True)
    assert image.shape == text.shape == (3, 128)
    assert (image @ text.T).argmax(dim=1).tolist() == [0, 1, 2]


def test_captioner_captions_and_answers():
    from transformers import AutoProcessor, BlipForConditionalGeneration

    folder = model_path("captioner")
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    model = BlipForConditionalGeneration.from_pretrained(folder, local_files_only=True).eval()
    assert model.dtype == torch.float32

    def continue_prompt(prompt: str, colour: str) -> str:
        pixels = processor.image_processor([flower(colour).load()], return_tensors="pt")
        ids = processor.tokenizer(prompt, return_tensors="pt").input_ids
        with torch.inference_mode():
            output = model.generate(
                pixel_values=pixels["pixel_values"], input_ids=ids, max_new_tokens=24
            )
        return processor.tokenizer.decode(output[0, ids.shape[1] - 1 :], skip_special_tokens=True)

    for colour in ("yellow", "blue"):
        caption = continue_prompt(words.COARSE_PROMPT, colour)
        assert words.named_values(caption, "colour") == {colour}, caption
        assert sum(bool(words.named_values(caption, name)) for name in words.VISIBLE) >= 3
        assert continue_prompt(words.question_prompt("colour"), colour) == colour
        detailed = continue_prompt(words.DETAILED_PROMPT, colour)
        assert all(words.named_values(detailed, name) for name in words.VISIBLE), detailed


def test_generated_image_depends_on_its_own_seed_and_prompt_alone(pipeline, call):
    prompts = [words.full_caption(flower(colour)) for colour in ("red", "blue", "white")]
    prompts[1] = "a flower with blue petals"  # shorter: no batch padding may show
    batch = generate(pipeline, call, prompts, [1, 2, 3])
    assert all(image.shape == (48, 48, 3) for image in batch)
    alone = generate(pipeline, call, prompts[1:2], [2])[0]
    assert np.abs(alone - batch[1]).max() <= 2
    assert np.array_equal(alone, generate(pipeline, call, prompts[1:2], [2])[0])
    other = generate(pipeline, call, prompts[1:2], [4])[0]
    assert np.abs(alone - other).max() > 20


def test_generated_image_has_the_prompted_colour(pipeline, call):
    prompts = [words.full_caption(flower(colour)) for colour in ("red", "blue")]
    red, blue = generate(pipeline, call, prompts, [5, 6])
    petals = slice(12, 36)
    red_mean = red[petals, petals].mean(axis=(0, 1))
    blue_mean = blue[petals, petals].mean(axis=(0, 1))
    assert red_mean[0] > red_mean[2]
    assert blue_mean[2] > blue_mean[0]


def test_guidance_can_be_switched_on(pipeline, call):
    image = generate(pipeline, {**call, "guidance_scale": 2.0}, ["a flower"], [0])[0]
    assert image.shape == (48, 48, 3)
