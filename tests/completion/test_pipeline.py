import multiprocessing
import queue as queues
from dataclasses import replace

import numpy as np
import pytest
import torch

from fedmvp_flwr.base.errors import DataError, ModelError
from fedmvp_flwr.base.samples import Sample, text_digest
from fedmvp_flwr.completion import pipeline
from fedmvp_flwr.completion.contents import Source
from fedmvp_flwr.completion.registry import completer_class, frozen_models
from fedmvp_flwr.completion.requests import Request
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.foundation.bundle import FoundationModels


def completer_of(models, config, pool=()):
    return completer_class(config.completion)(
        models, config.completion, config.data.data_seed, pool
    )


def load_completion(sample, modality, *, models, store, config, class_names=(), pool=()):
    completer = completer_of(models, config, pool)
    return pipeline.load_completion(completer, sample, modality, store, class_names)


def prepare_samples(
    samples, *, complete, models, store, config, class_names=(), pool=(), on_progress=None
):
    request = Request(samples, complete, completer_of(models, config, pool), class_names)
    return pipeline.prepare([request], store, on_progress)[0]


def prepare(samples, complete, config, root, models=None, **options):
    models = models or frozen_models(config)
    with FeatureStore(root) as store:
        return prepare_samples(
            samples, complete=complete, models=models, store=store, config=config, **options
        )


def same(left, right):
    if isinstance(left, torch.Tensor):
        return torch.equal(torch.nan_to_num(left, 7.0), torch.nan_to_num(right, 7.0))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    return same(vars(left), vars(right)) if hasattr(left, "__dict__") else left == right


@pytest.fixture(scope="module")
def shared_models(tiny_config):
    return frozen_models(tiny_config)


@pytest.fixture
def prepared(samples, holes, tiny_config, shared_models, tmp_path):
    return prepare(samples, holes(samples), tiny_config, tmp_path, shared_models)


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


def test_similarity_is_the_cosine_of_the_pooled_embeddings(prepared):
    for target, source in (("image", "text"), ("text", "image")):
        made, real = prepared.completed[target], prepared.real.modalities[source]
        for row in torch.nonzero(made.present).flatten().tolist():
            oracle = torch.cosine_similarity(
                made.pooled[row].float(), real.pooled[row].float(), dim=0
            )
            assert prepared.similarity[target][row] == pytest.approx(float(oracle), abs=1e-5)


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


def test_batch_fills_holes_and_flags_them(prepared, samples):
    batch = prepared.batch()
    for modality, features in batch.modalities.items():
        assert features.present.all()
        hole = torch.tensor([not sample.has(modality) for sample in samples])
        assert torch.equal(features.generated, hole)
        assert (features.mask.sum(dim=1) > 0).all()
        length = prepared.completed[modality].mask.shape[1]
        assert torch.equal(
            features.tokens[hole][:, :length], prepared.completed[modality].tokens[hole]
        )


def test_batch_leaves_rejected_holes(prepared, samples):
    hole = torch.tensor([sample.text is None for sample in samples])
    nothing = torch.zeros(len(samples), dtype=torch.bool)
    batch = prepared.batch({"text": nothing})
    assert torch.equal(batch.modalities["text"].present, ~hole)
    assert not batch.modalities["text"].mask[hole].any()
    assert batch.modalities["image"].present.all()


def test_hidden_real_texts_are_replaced_by_generated_ones(
    samples, tiny_config, shared_models, tmp_path
):
    chosen = [sample for sample in samples if sample.image is not None]
    everything = torch.ones(len(chosen), dtype=torch.bool)
    prepared = prepare(chosen, {"text": everything.tolist()}, tiny_config, tmp_path, shared_models)
    text = prepared.batch(hidden={"text": everything}).modalities["text"]
    assert text.generated.all()
    assert torch.equal(text.pooled, prepared.completed["text"].pooled)


def test_second_run_loads_no_model_and_decodes_no_image(
    prepared, samples, forbidden_samples, holes, tiny_config, tmp_path
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
    prepared, samples, forbidden_samples, tiny_config, tmp_path
):
    masked = [replace(sample, text=None) for sample in forbidden_samples if sample.image]
    models = frozen_models(tiny_config)
    prepare(masked, {}, tiny_config, tmp_path, models)
    assert models.models_loaded == ()


def test_a_sample_is_completed_alike_alone_and_in_a_batch(
    prepared, samples, holes, tiny_config, shared_models, tmp_path
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


def test_equal_sources_are_completed_once(tiny_config, shared_models, tmp_path):
    twins = [Sample(f"twin-{i}", i, None, "a red flower") for i in range(4)]
    calls = []
    prepared = prepare(
        twins,
        {"image": [True] * 4},
        tiny_config,
        tmp_path,
        shared_models,
        on_progress=lambda *event: calls.append(event),
    )
    assert prepared.made["image"] == 4
    assert ("images", 1, 1) in calls
    assert ("text features", 1, 1) in calls
    assert (prepared.completed["image"].pooled == prepared.completed["image"].pooled[0]).all()


def test_a_caption_that_is_known_from_elsewhere_is_not_encoded_again(
    tiny_config, shared_models, tmp_path, random_image, monkeypatch
):
    image_alone = [Sample("a", 0, random_image(1), None)]
    config = tiny_config.changed(quality_gate=0.0)
    elsewhere = prepare(image_alone, {"text": [True]}, config, tmp_path / "x", shared_models)
    with FeatureStore(tmp_path / "x") as store:
        caption = load_completion(
            image_alone[0], "text", models=shared_models, store=store, config=config
        )
    prepare([Sample("b", 0, None, caption)], {}, config, tmp_path / "y", shared_models)
    asked = []
    encode = shared_models.text_encoder.encode
    monkeypatch.setattr(
        shared_models.text_encoder, "encode", lambda texts: asked.extend(texts) or encode(texts)
    )
    again = prepare(image_alone, {"text": [True]}, config, tmp_path / "y", shared_models)
    assert asked == []
    assert again.made["text"] == 1
    ours, theirs = (x.completed["text"].tokens for x in (again, elsewhere))
    torch.testing.assert_close(ours, theirs, atol=4e-3, rtol=0)


def test_progress_ends_at_the_total(samples, holes, tiny_config, shared_models, tmp_path):
    last = {}
    prepare(
        samples,
        holes(samples),
        tiny_config,
        tmp_path,
        shared_models,
        on_progress=lambda stage, done, total: last.update({stage: (done, total)}),
    )
    assert set(last) == {"captions", "image features", "images", "text features"}
    assert all(done == total for done, total in last.values())


def test_provenance_says_how_a_completion_was_made(prepared, samples, tiny_config, shared_models):
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
    samples, tiny_config, shared_models, tmp_path
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
    change, rest, prepared, samples, holes, tiny_config, shared_models, tmp_path
):
    config = tiny_config.changed(**change)
    models = FoundationModels(config.models)
    again = prepare(samples, holes(samples), config, tmp_path, models)
    assert again.reused == rest


def test_another_encoder_reuses_the_completions(
    prepared, samples, holes, tiny_config, tiny_folders, tmp_path
):
    spec = f"open_clip:local:{tiny_folders['other-clip']}"
    config = tiny_config.changed(image_encoder=spec, text_encoder=spec)
    models = frozen_models(config)
    again = prepare(samples, holes(samples), config, tmp_path, models)
    assert again.made == {"image": 0, "text": 0}
    assert models.models_loaded == ("image_encoder", "text_encoder")
    assert not same(again.completed["image"], prepared.completed["image"])
    assert again.completed["image"].present.sum() == 3


def test_without_completion_the_holes_stay(samples, holes, tiny_config, tmp_path):
    config = tiny_config.changed(completion="none", captioner="none:such")
    models = frozen_models(config)
    prepared = prepare(samples, holes(samples), config, tmp_path, models)
    assert models.models_loaded == ("image_encoder", "text_encoder")
    assert prepared.made == {"image": 0, "text": 0}
    assert not prepared.completed["image"].present.any()
    assert prepared.completed["image"].tokens.shape[0] == len(samples)


def test_no_samples_at_all(tiny_config, shared_models, tmp_path):
    prepared = prepare([], {"image": [], "text": []}, tiny_config, tmp_path, shared_models)
    assert len(prepared) == len(prepared.batch()) == 0
    assert prepared.real.modalities["image"].pooled.shape == (0, 8)


def test_widths_are_known_without_a_model(prepared, tiny_config, tmp_path):
    models = frozen_models(tiny_config)
    only_image = [Sample("one", 0, None, "a red flower with five petals")]
    again = prepare(only_image, {}, tiny_config, tmp_path, models)
    assert models.models_loaded == ()
    assert again.real.modalities["image"].tokens.shape == (1, 1, 32)


def test_gate_without_a_common_space_is_refused_before_anything_is_computed(
    forbidden_samples, holes, tiny_config, tiny_folders, tmp_path
):
    spec = f"open_clip:local:{tiny_folders['other-clip']}"
    config = tiny_config.changed(text_encoder=spec)
    models = frozen_models(config)
    with pytest.raises(ModelError, match=r"quality-gate.*image-encoder.*text-encoder"):
        prepare(forbidden_samples, holes(forbidden_samples), config, tmp_path, models)
    assert models.models_loaded == ()


def test_without_a_gate_no_common_space_is_needed(
    samples, holes, tiny_config, tiny_folders, tmp_path
):
    spec = f"open_clip:local:{tiny_folders['other-clip']}"
    config = tiny_config.changed(text_encoder=spec, quality_gate=0.0)
    prepared = prepare(samples, holes(samples), config, tmp_path)
    assert prepared.pair_similarity.isnan().all()
    assert prepared.completed["text"].present.sum() == 3
    with FeatureStore(tmp_path) as store:  # nothing is asked for, so that nothing judges pairs
        encoded = pipeline.encode(samples, frozen_models(config.changed(quality_gate=0.05)), store)
    assert encoded.pair_similarity.isnan().all()


def test_nothing_to_complete_from(tiny_config, shared_models, tmp_path):
    empty = [Sample("bare", 0, None, None)]
    with pytest.raises(DataError, match="bare"):
        prepare(empty, {"image": [True]}, tiny_config, tmp_path, shared_models)


def test_a_broken_image_is_named(tiny_config, shared_models, tmp_path, random_image):
    class Broken(random_image):
        def load(self):
            raise OSError("image file is truncated")

    with pytest.raises(DataError, match="broken-one"):
        prepare(
            [Sample("broken-one", 0, Broken(1), None)], {}, tiny_config, tmp_path, shared_models
        )


def test_a_crash_loses_at_most_one_chunk(
    samples, holes, tiny_config, shared_models, tmp_path, random_image
):
    class Crashing(random_image):
        def load(self):
            raise KeyboardInterrupt

    doomed = [*samples, Sample("crash", 0, Crashing(99), "a red flower")]
    with pytest.raises(KeyboardInterrupt):
        prepare(doomed, holes(doomed), tiny_config, tmp_path, shared_models)
    again = prepare(samples, holes(samples), tiny_config, tmp_path, shared_models)
    assert again.reused["text"] == 3  # the first chunk was captions


def test_damaged_entries_are_made_again(
    prepared, samples, holes, tiny_config, shared_models, tmp_path
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


def test_a_lost_generated_image_is_drawn_again(
    prepared, samples, holes, tiny_config, tiny_folders, tmp_path
):
    import sqlite3

    connection = sqlite3.connect(FeatureStore(tmp_path).path)
    big = "DELETE FROM entry WHERE substr(value, 2, 3) = x'504e47'"  # every PNG
    with connection:
        assert connection.execute(big).rowcount > 0
    connection.close()
    spec = f"open_clip:local:{tiny_folders['other-clip']}"
    config = tiny_config.changed(image_encoder=spec, text_encoder=spec)
    again = prepare(samples, holes(samples), config, tmp_path)
    assert again.made == {"image": 3, "text": 0}


def _prepare_elsewhere(samples, complete, config, roots, begin, queue):
    prepare(samples, complete, config, roots[0])  # what has to be imported is there afterwards
    begin.wait(120)
    prepared = prepare(samples, complete, config, roots[1])
    queue.put((prepared.made, prepared.batch().modalities["image"].present.all().item()))


@pytest.mark.slow
def test_two_processes_complete_the_same_data_at_once(samples, holes, tiny_config, tmp_path):
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


def test_load_completion_finds_texts_and_images(prepared, samples, tiny_config, tmp_path):
    models = frozen_models(tiny_config)
    options = {"models": models, "config": tiny_config, "store": FeatureStore(tmp_path)}
    assert isinstance(load_completion(samples[1], "text", **options), str)
    assert load_completion(samples[2], "image", **options).size == (16, 16)
    assert load_completion(samples[0], "image", **options) is not None  # the same text as 5's
    assert load_completion(samples[0], "text", **options) is None
    assert models.models_loaded == ()
