import multiprocessing
import queue as queues
from dataclasses import replace

import numpy as np
import pytest
import torch

from fedmvp_flwr.base.samples import Sample, text_digest
from fedmvp_flwr.completion import pipeline
from fedmvp_flwr.completion.contents import Source
from fedmvp_flwr.completion.registry import completer_class, frozen_models
from fedmvp_flwr.completion.requests import Request
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.foundation.bundle import FoundationModels


def test_real_and_completed_are_where_they_belong(prepared, samples, holes):
    for modality in ("image", "text"):
        there = torch.tensor([sample.has(modality) for sample in samples])
        assert torch.equal(prepared.real.modalities[modality].present, there)
        assert not prepared.real.modalities[modality].generated.any()
        assert torch.equal(prepared.completed[modality].present, ~there)
        assert torch.equal(prepared.completed[modality].generated, ~there)
        assert torch.equal(prepared.similarity[modality].isnan(), there)
        assert prepared.made[modality] == int((~there).sum())
        assert prepared.reused[modality] == 0
    complete = torch.tensor([sample.complete for sample in samples])
    assert torch.equal(prepared.pair_similarity.isnan(), ~complete)
    assert prepared.pair_similarity[complete].abs().max() <= 1.001
    assert prepared.real.labels.tolist() == [sample.label for sample in samples]
    assert prepared.keys == tuple(sample.key for sample in samples)
    assert set(prepared.seconds) == {"completion", "features"}


def test_features_are_those_of_the_encoder(prepared, samples, shared_models):
    oracle = shared_models.image_encoder.encode([samples[0].image.load()])[0]
    mine = prepared.real.modalities["image"]
    assert torch.allclose(mine.tokens[0].float(), oracle.tokens.float(), atol=2e-3)
    assert torch.allclose(mine.pooled[0].float(), oracle.pooled.float(), atol=2e-3)
    words = shared_models.text_encoder.encode([samples[0].text])[0]
    text = prepared.real.modalities["text"]
    assert int(text.mask[0].sum()) == len(words.tokens)
    assert torch.allclose(
        text.tokens[0, : len(words.tokens)].float(), words.tokens.float(), atol=2e-3
    )


def test_second_run_loads_no_model_and_decodes_no_image(
    prepared, samples, forbidden_samples, holes, tiny_config, tmp_path, prepare, same
):
    models = frozen_models(tiny_config)
    again = prepare(forbidden_samples, holes(samples), tiny_config, tmp_path, models)
    assert models.models_loaded == ()
    assert again.made == {"image": 0, "text": 0}
    assert again.reused == prepared.made
    assert same(again.real, prepared.real)
    assert same(again.completed, prepared.completed)
    assert same(again.similarity, prepared.similarity)


def test_another_mask_reuses_what_is_there(
    prepared, samples, forbidden_samples, tiny_config, tmp_path, prepare
):
    masked = [replace(sample, text=None) for sample in forbidden_samples if sample.image]
    models = frozen_models(tiny_config)
    prepare(masked, {}, tiny_config, tmp_path, models)
    assert models.models_loaded == ()


def test_a_sample_is_completed_alike_alone_and_in_a_batch(
    prepared, samples, holes, tiny_config, shared_models, tmp_path, prepare, load_completion
):
    for row in (1, 2):
        alone = prepare(
            samples[row : row + 1],
            holes(samples[row : row + 1]),
            tiny_config,
            tmp_path / f"alone-{row}",
            shared_models,
        )
        modality = "text" if samples[row].image else "image"
        stores = [FeatureStore(tmp_path / f"alone-{row}"), FeatureStore(tmp_path)]
        contents = [
            load_completion(
                samples[row], modality, models=shared_models, store=store, config=tiny_config
            )
            for store in stores
        ]
        if modality == "text":
            assert contents[0] == contents[1]
        else:
            levels = [np.asarray(content, dtype=int) for content in contents]
            assert np.abs(levels[0] - levels[1]).max() <= 1
        mine, theirs = alone.completed[modality].pooled[0], prepared.completed[modality].pooled[row]
        assert torch.allclose(mine.float(), theirs.float(), atol=1e-2)


def test_provenance_says_how_a_completion_was_made(
    prepared, samples, tiny_config, shared_models, completer_of
):
    completer = completer_of(shared_models, tiny_config)
    text = samples[2].text
    made = completer.complete("image", [Source(text, text_digest(text))])[0].provenance
    assert made["modality"] == "image"
    assert made["source"] == text_digest(text)
    assert made["model"] == shared_models.fingerprint("image_generator")
    assert made["prompts"] == [f"a picture of {text}"]
    assert isinstance(made["seed"], int)
    image = samples[1].image
    told = completer.complete("text", [Source(image.load(), image.digest)])[0].provenance
    assert told["model"] == shared_models.fingerprint("captioner")
    assert told["prompts"][0] == "a picture of"
    assert len(told["answers"]) == len(told["prompts"]) == 3


def test_the_class_name_enters_only_where_it_is_allowed(
    samples, tiny_config, shared_models, tmp_path, prepare, load_completion
):
    config = tiny_config.changed(label_in_prompt=True)
    chosen = [samples[1]]
    named = prepare(
        chosen, {"text": [True]}, config, tmp_path, shared_models, class_names=("rose", "lily")
    )
    unnamed = prepare(chosen, {"text": [True]}, config, tmp_path, shared_models)
    assert named.made["text"] == unnamed.made["text"] == 1
    options = {"models": shared_models, "config": config, "store": FeatureStore(tmp_path)}
    with_name = load_completion(chosen[0], "text", class_names=("rose", "lily"), **options)
    without = load_completion(chosen[0], "text", **options)
    assert with_name.startswith("lily: ")
    assert "lily" not in without


@pytest.mark.parametrize(
    ("change", "rest"),
    [
        ({"data_seed": 1}, {"image": 0, "text": 3}),
        ({"prompt_template": "coarse"}, {"image": 0, "text": 0}),
        ({"foundation_batch_size": 2, "seed": 9, "missing_ratio": 0.5}, {"image": 3, "text": 3}),
    ],
)
def test_only_what_depends_on_a_setting_is_made_again(
    change, rest, prepared, samples, holes, tiny_config, shared_models, tmp_path, prepare
):
    config = tiny_config.changed(**change)
    models = FoundationModels(config.models)
    again = prepare(samples, holes(samples), config, tmp_path, models)
    assert again.reused == rest


def test_another_encoder_reuses_the_completions(
    prepared, samples, holes, tiny_config, tiny_folders, tmp_path, prepare, same
):
    spec = f"open_clip:local:{tiny_folders['other-clip']}"
    config = tiny_config.changed(image_encoder=spec, text_encoder=spec)
    models = frozen_models(config)
    again = prepare(samples, holes(samples), config, tmp_path, models)
    assert again.made == {"image": 0, "text": 0}
    assert models.models_loaded == ("image_encoder", "text_encoder")
    assert not same(again.completed["image"], prepared.completed["image"])
    assert again.completed["image"].present.sum() == 3


def test_without_completion_the_holes_stay(samples, holes, tiny_config, tmp_path, prepare):
    config = tiny_config.changed(completion="none", captioner="none:such")
    models = frozen_models(config)
    prepared = prepare(samples, holes(samples), config, tmp_path, models)
    assert models.models_loaded == ("image_encoder", "text_encoder")
    assert prepared.made == {"image": 0, "text": 0}
    assert not prepared.completed["image"].present.any()
    assert prepared.completed["image"].tokens.shape[0] == len(samples)


def test_widths_are_known_without_a_model(prepared, tiny_config, tmp_path, prepare):
    models = frozen_models(tiny_config)
    only_image = [Sample("one", 0, None, "a red flower with five petals")]
    again = prepare(only_image, {}, tiny_config, tmp_path, models)
    assert models.models_loaded == ()
    assert again.real.modalities["image"].tokens.shape == (1, 1, 32)


def test_damaged_entries_are_made_again(
    prepared, samples, holes, tiny_config, shared_models, tmp_path, prepare, same
):
    path = FeatureStore(tmp_path).path
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for place in rng.integers(len(content) // 4, len(content), 60):
        content[place] ^= 0xFF
    path.write_bytes(content)
    again = prepare(samples, holes(samples), tiny_config, tmp_path, shared_models)
    assert same(again.batch().modalities["text"].present, torch.ones(10, dtype=torch.bool))
    for modality in ("image", "text"):
        assert torch.allclose(
            again.batch().modalities[modality].pooled.float(),
            prepared.batch().modalities[modality].pooled.float(),
            atol=1e-2,
        )


def _prepare_elsewhere(samples, complete, config, roots, begin, queue):
    completer = completer_class(config.completion)(frozen_models(config), config.completion)
    request = Request(samples, complete, completer)
    with FeatureStore(roots[0]) as store:  # what has to be imported is there afterwards
        pipeline.prepare([request], store)
    begin.wait(120)
    with FeatureStore(roots[1]) as store:
        (prepared,) = pipeline.prepare([request], store)
    queue.put((prepared.made, prepared.batch().modalities["image"].present.all().item()))


@pytest.mark.slow
def test_two_processes_complete_the_same_data_at_once(
    samples, holes, tiny_config, tmp_path, prepare
):
    context = multiprocessing.get_context("spawn")
    begin, queue, mine = context.Barrier(2), context.Queue(), queues.Queue()
    roots = tmp_path / "warm", tmp_path / "shared"
    arguments = (samples[:4], holes(samples[:4]), tiny_config, roots, begin)
    worker = context.Process(target=_prepare_elsewhere, args=(*arguments, queue))
    worker.start()
    _prepare_elsewhere(*arguments, mine)
    results = [queue.get(timeout=120), mine.get()]
    worker.join(timeout=60)
    assert worker.exitcode == 0
    assert all(present for _, present in results)
    models = frozen_models(tiny_config)
    again = prepare(samples[:4], holes(samples[:4]), tiny_config, roots[1], models)
    assert again.reused == {"image": 1, "text": 1}
    assert models.models_loaded == ()


def test_load_completion_finds_texts_and_images(
    prepared, samples, tiny_config, tmp_path, load_completion
):
    models = frozen_models(tiny_config)
    options = {"models": models, "config": tiny_config, "store": FeatureStore(tmp_path)}
    assert isinstance(load_completion(samples[1], "text", **options), str)
    assert load_completion(samples[2], "image", **options).size == (16, 16)
    assert load_completion(samples[0], "image", **options) is not None  # the same text as 5's
    assert load_completion(samples[0], "text", **options) is None
    assert models.models_loaded == ()
