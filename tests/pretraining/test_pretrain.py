"""From a miniature folder to models, and from the models to a completed sample."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.pretraining.pretrain import PretrainSettings, pretrain, specs
from fedmvp_flwr.pretraining.shape import Shape

SHAPE = Shape(
    image_size=16,
    patch=4,
    width=32,
    vision_layers=1,
    text_layers=1,
    context=24,
    autoencoder_width=8,
    latent_channels=4,
    generator_heads=2,
    generator_head_width=16,
    generator_layers=1,
)
STEPS = 4


def settings_for(out: Path, **changes) -> PretrainSettings:
    values = {"split": "public", "steps": STEPS, "shape": SHAPE, "vocabulary_size": 300} | changes
    return PretrainSettings(out=out, **values)


@pytest.fixture(scope="module")
def data(folder, tmp_path_factory):
    from fedmvp_flwr import RunConfig

    cache = tmp_path_factory.mktemp("cache")
    return RunConfig.of(dataset=f"folder:{folder}", cache_dir=str(cache), device="cpu")


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    seen = []
    report = pretrain(data, settings_for(out), lambda *progress: seen.append(progress))
    return out, report, seen


def test_the_models_complete_samples_as_a_run_does(data, made):
    from fedmvp_flwr.completion.pipeline import load_completion, prepare
    from fedmvp_flwr.completion.registry import completer_class, frozen_models
    from fedmvp_flwr.completion.requests import Request
    from fedmvp_flwr.completion.store import FeatureStore
    from fedmvp_flwr.data.sources.registry import load_dataset

    out, _, _ = made
    config = data.changed(**{**specs(out), "caption_questions": ""})
    config = config.changed(image_generator=f"{config.models.image_generator}?steps=2")
    dataset = load_dataset(config.data, cache_folder(config.run))
    whole = dataset.splits["train"]
    holes = [
        dataclasses.replace(whole[0], text=None),
        dataclasses.replace(whole[1], image=None),
    ]
    models = frozen_models(config)
    with FeatureStore(Path(config.run.cache_dir)) as store:
        completer = completer_class(config.completion)(models, config.completion)
        flags = {"image": [False, True], "text": [True, False]}
        (prepared,) = prepare([Request(holes, flags, completer, dataset.class_names)], store)
        text = load_completion(completer, holes[0], "text", store)
        image = load_completion(completer, holes[1], "image", store)
    assert prepared.completed["text"].present.tolist() == [True, False]
    assert prepared.completed["image"].present.tolist() == [False, True]
    assert torch.isfinite(prepared.completed["image"].pooled).all()
    assert isinstance(text, str)
    assert image.size == (16, 16)


def test_card_and_report_tell_data_recipe_and_figures(made, folder):
    out, report, _ = made
    assert json.loads((out / "pretrain.json").read_text()) == report
    data = report["data"]
    assert (data["train"], data["held-out"], data["skipped"]) == (21, 2, 1)
    for name in ("encoder", "captioner", "autoencoder", "generator", "decoder"):
        assert report["training"][name]["steps"] == STEPS
        assert report["training"][name]["loss"] > 0
    figures = report["figures"]
    assert 0 <= figures["encoder"]["image-to-text-r5"] <= 1
    assert 0 <= figures["captioner"]["rouge-l"] <= 1
    assert 0 < figures["autoencoder"]["mean-absolute-error"] < 1
    card = (out / "MODEL_CARD.md").read_text()
    for part in (data["hash"], str(folder), "R@5", "ROUGE-L", "Seed 0", "open_clip:local:DIR"):
        assert part in card


def test_only_safetensors_and_json_are_written(made):
    out, _, _ = made
    files = [p for name in ("encoder", "captioner", "generator") for p in (out / name).rglob("*.*")]
    assert all(p.stat().st_mode & 0o044 == 0o044 for p in files)  # by other users too
    assert {p.suffix for p in files if p.is_file()} <= {".json", ".safetensors", ".jinja", ".txt"}


def test_saved_tokenizers_keep_no_setting_of_the_training(made):
    out, _, _ = made
    paths = sorted(p for p in out.rglob("tokenizer.json"))
    assert len(paths) == 3
    for path in paths:
        saved = json.loads(path.read_text())
        assert saved["truncation"] is None
        assert saved["padding"] is None


def test_progress_is_told_by_stage(made):
    _, _, seen = made
    assert list(dict.fromkeys(stage for stage, _, _ in seen)) == [
        "encoder",
        "captioner",
        "autoencoder",
        "generator",
        "decoder",
    ]
    assert all(0 <= done <= total == 100 for _, done, total in seen)


def test_a_second_call_trains_nothing_and_gives_the_same_models(data, made):
    out, report, _ = made
    weights = sorted(p for p in out.glob("*/**/*.safetensors") if "work" not in p.parts)
    before = [p.read_bytes() for p in weights]
    again = pretrain(data, settings_for(out))
    assert [p.read_bytes() for p in weights] == before
    assert again["figures"] == report["figures"]


def test_the_same_seed_gives_the_same_models_elsewhere(data, made, tmp_path):
    out, _, _ = made
    pretrain(data, settings_for(tmp_path / "again"))
    for name in ("encoder/open_clip_model", "captioner/model", "generator/text_encoder/model"):
        first, second = (p / f"{name}.safetensors" for p in (out, tmp_path / "again"))
        assert first.read_bytes() == second.read_bytes()


def test_other_data_or_another_recipe_is_refused(data, made):
    out, _, _ = made
    for changes, said in (({"seed": 1}, "seed"), ({"split": "public+train"}, "data")):
        with pytest.raises(ConfigError, match=f"different .*{said}"):
            pretrain(data, settings_for(out, **changes))
    larger = dataclasses.replace(SHAPE, width=64)
    with pytest.raises(ConfigError, match="different shape"):
        pretrain(data, settings_for(out, shape=larger))


def test_labels_can_be_learned_from(data, tmp_path):
    report = pretrain(data, settings_for(tmp_path, steps=1, use_labels=True))
    assert "| labels | used as targets |" in (tmp_path / "MODEL_CARD.md").read_text()
    assert report["data"]["labels-used"]


def test_a_budget_of_nothing_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="minutes=0"):
        settings_for(tmp_path, minutes=0)
