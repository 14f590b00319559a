"""One request on its way: what it asks for, what is known, what is gated by."""

import pytest
import torch

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.completion import pipeline
from fedmvp_flwr.completion.passes import pass_over_images, pass_over_neighbours, pass_over_texts
from fedmvp_flwr.completion.preparation import FEATURES, Preparation
from fedmvp_flwr.completion.registry import frozen_models
from fedmvp_flwr.completion.requests import Request
from fedmvp_flwr.completion.store import FeatureStore


@pytest.fixture
def store(tmp_path):
    with FeatureStore(tmp_path) as opened:
        yield opened


def test_equal_sources_are_completed_once(tiny_config, shared_models, tmp_path, prepare):
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


def test_similarity_is_the_cosine_of_the_pooled_embeddings(prepared):
    for target, source in (("image", "text"), ("text", "image")):
        made, real = prepared.completed[target], prepared.real.modalities[source]
        for row in torch.nonzero(made.present).flatten().tolist():
            oracle = torch.cosine_similarity(
                made.pooled[row].float(), real.pooled[row].float(), dim=0
            )
            assert prepared.similarity[target][row] == pytest.approx(float(oracle), abs=1e-5)


def test_gate_without_a_common_space_is_refused_before_anything_is_computed(
    forbidden_samples, holes, tiny_config, tiny_folders, tmp_path, prepare
):
    spec = f"open_clip:local:{tiny_folders['other-clip']}"
    config = tiny_config.changed(text_encoder=spec)
    models = frozen_models(config)
    with pytest.raises(ModelError, match=r"quality-gate.*image-encoder.*text-encoder"):
        prepare(forbidden_samples, holes(forbidden_samples), config, tmp_path, models)
    assert models.models_loaded == ()


def test_without_a_gate_no_common_space_is_needed(
    samples, holes, tiny_config, tiny_folders, tmp_path, prepare
):
    spec = f"open_clip:local:{tiny_folders['other-clip']}"
    config = tiny_config.changed(text_encoder=spec, quality_gate=0.0)
    prepared = prepare(samples, holes(samples), config, tmp_path)
    assert prepared.pair_similarity.isnan().all()
    assert prepared.completed["text"].present.sum() == 3
    with FeatureStore(tmp_path) as store:  # nothing is asked for, so that nothing judges pairs
        encoded = pipeline.encode(samples, frozen_models(config.changed(quality_gate=0.05)), store)
    assert encoded.pair_similarity.isnan().all()


def test_no_samples_at_all(tiny_config, shared_models, tmp_path, prepare):
    prepared = prepare([], {"image": [], "text": []}, tiny_config, tmp_path, shared_models)
    assert len(prepared) == len(prepared.batch()) == 0
    assert prepared.real.modalities["image"].pooled.shape == (0, 8)


def test_of_a_pool_only_what_is_taken_over_keeps_its_tokens(
    samples, holes, tiny_config, shared_models, store, completer_of
):
    config = tiny_config.changed(completion="retrieval")
    mine, pool = samples[1:4], samples
    request = Request(mine, holes(mine), completer_of(shared_models, config, pool))
    work = Preparation(request, store)
    work.look_up()
    pass_over_images(work)
    pass_over_texts(work)
    bare = {key for key, features in work.encoding.features.items() if not len(features.tokens)}
    own = {(m, d) for m in ("image", "text") for d in request.digests[m] if d is not None}
    assert bare
    assert not bare & own
    pass_over_neighbours(work)
    taken = {
        (m, work.records[item.key].digest)
        for m in ("image", "text")
        for item in work.wanted[m]
        if item
    }
    assert taken - own
    assert all(len(work.encoding.features[key].tokens) for key in taken | own)


@pytest.fixture
def work(samples, holes, tiny_config, shared_models, store, completer_of):
    seen = []
    request = Request(samples, holes(samples), completer_of(shared_models, tiny_config))
    preparation = Preparation(request, store, lambda *event: seen.append(event))
    preparation.seen = seen
    return preparation


def test_chunks_are_of_the_set_size_and_leave_nothing_out(work):
    assert [len(chunk) for chunk in work.chunks(list(range(7)))] == [3, 3, 1]
    assert [i for chunk in work.chunks(list(range(7)), 5) for i in chunk] == list(range(7))
    assert list(work.chunks([])) == []


def test_a_missing_completion_is_asked_for_by_its_source(work, samples):
    missing = work.missing_completions("text")
    lacking = [sample for sample in samples if sample.text is None]
    assert set(missing) == {sample.image.digest for sample in lacking}
    assert {item.sample_key for items in missing.values() for item in items} == {
        sample.key for sample in lacking
    }


def test_what_is_forgotten_is_made_again(work, samples, store):
    pass_over_images(work)
    assert work.missing_completions("text") == {}
    key = next(iter(work.records))
    work.forget(key)
    ((item,),) = work.missing_completions("text").values()
    assert item.key == key
    work.look_up()
    assert work.missing_completions("text") == {}


def test_seconds_are_counted_by_phase_and_nothing_to_do_is_not_told(work):
    with work.clock(FEATURES):
        sum(range(1000))
    work.report("images", 0, 0)
    work.report("images", 1, 2)
    assert work._seconds[FEATURES] > 0
    assert work._seconds["completion"] == 0
    assert work.seen == [("images", 1, 2)]
