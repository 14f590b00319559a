"""Retrieval: the nearest complete sample fills the hole, never the sample itself."""

import math

import numpy as np
import pytest
import torch

from fedmvp_flwr.base.samples import Sample, text_digest
from fedmvp_flwr.completion.registry import frozen_models
from fedmvp_flwr.completion.retrieval import NOBODY, nearest, typicality
from fedmvp_flwr.completion.store import FeatureStore


@pytest.fixture(scope="module")
def config(tiny_config):
    return tiny_config.changed(completion="retrieval", captioner="no:such")


@pytest.fixture(scope="module")
def models(config):
    return frozen_models(config)


@pytest.fixture(name="prepare")
def prepare_fixture(prepare):
    def from_pool(samples, complete, pool, config, root, models=None):
        return prepare(samples, complete, config, root, models, pool=pool)

    return from_pool


def oracle(samples, row, source, pool, models):
    """The pool's nearest sample by the encoder's own embeddings, one after another."""
    encoder = models.encoder(source)

    def embed(sample):
        content = sample.text if source == "text" else sample.image.load()
        return encoder.encode([content])[0].pooled.float()

    query = embed(samples[row])
    others = [sample for sample in pool if sample.key != samples[row].key]
    cosines = [float(torch.cosine_similarity(query, embed(s), dim=0)) for s in others]
    return others[int(np.argmax(cosines))], max(cosines)


def test_the_nearest_complete_pair_fills_the_hole(
    samples, holes, config, models, tmp_path, prepare
):
    prepared = prepare(samples, holes(samples), samples, config, tmp_path, models)
    pool = [sample for sample in samples if sample.complete]
    assert prepared.made == {"image": 3, "text": 3}
    for target, source in (("text", "image"), ("image", "text")):
        made = prepared.completed[target]
        for row, sample in enumerate(samples):
            if sample.has(target):
                assert not made.present[row]
                continue
            neighbour, _ = oracle(samples, row, source, pool, models)
            assert made.generated[row]
            there = prepared.real.modalities[target]
            assert torch.equal(made.pooled[row], there.pooled[samples.index(neighbour)])
    assert set(models.models_loaded) == {"image_encoder", "text_encoder"}


def test_what_was_taken_over_is_found_again(
    samples, holes, config, models, tmp_path, prepare, load_completion
):
    prepare(samples, holes(samples), samples, config, tmp_path, models)
    options = {"models": models, "store": FeatureStore(tmp_path), "config": config}
    text = load_completion(samples[1], "text", pool=samples, **options)
    pool = [sample for sample in samples if sample.complete]
    assert text == oracle(samples, 1, "image", pool, models)[0].text
    image = load_completion(samples[2], "image", pool=samples, **options)
    expected = oracle(samples, 2, "text", pool, models)[0].image.load()
    assert np.array_equal(np.asarray(image), np.asarray(expected))
    assert load_completion(samples[1], "text", **options) is None  # another pool


def test_a_second_run_searches_nothing_and_loads_nothing(
    samples, forbidden_samples, holes, config, models, tmp_path, prepare
):
    first = prepare(samples, holes(samples), samples, config, tmp_path, models)
    fresh = frozen_models(config)
    again = prepare(forbidden_samples, holes(samples), forbidden_samples, config, tmp_path, fresh)
    assert fresh.models_loaded == ()
    assert again.reused == first.made
    assert again.made == {"image": 0, "text": 0}
    assert torch.equal(again.completed["image"].pooled, first.completed["image"].pooled)


def test_a_sample_of_the_pool_is_never_completed_by_itself(
    samples, config, models, tmp_path, prepare
):
    whole = [sample for sample in samples if sample.complete]
    everything = dict.fromkeys(("image", "text"), [True] * len(whole))
    prepared = prepare(whole, everything, whole, config, tmp_path, models)
    for row in range(len(whole)):
        neighbour, _ = oracle(whole, row, "image", whole, models)
        assert neighbour.key != whole[row].key
        mine = prepared.completed["text"].pooled[row]
        assert torch.equal(mine, prepared.real.modalities["text"].pooled[whole.index(neighbour)])


def test_a_twin_of_the_pool_may_be_taken(
    samples, config, models, tmp_path, prepare, load_completion
):
    twin = Sample("twin", 0, samples[0].image, None)
    prepared = prepare([twin], {"text": [True]}, [samples[0], samples[3]], config, tmp_path, models)
    record = load_completion(
        twin,
        "text",
        models=models,
        store=FeatureStore(tmp_path),
        config=config,
        pool=[samples[0], samples[3]],
    )
    assert record == samples[0].text
    assert prepared.completed["text"].present.all()


@pytest.mark.parametrize("pool", [0, 1])
def test_with_nothing_to_take_from_the_hole_stays(pool, samples, config, models, tmp_path, prepare):
    own = [samples[0]]
    prepared = prepare(own, {"text": [True]}, own[:pool], config, tmp_path, models)
    assert prepared.made == {"image": 0, "text": 0}
    assert not prepared.completed["text"].present.any()


def test_another_pool_is_another_completion(samples, holes, config, models, tmp_path, prepare):
    prepare(samples, holes(samples), samples, config, tmp_path, models)
    again = prepare(samples, holes(samples), samples[:4], config, tmp_path, models)
    assert again.reused == {"image": 0, "text": 0}


def test_encoders_without_a_common_space_are_gated_by_the_distance(
    samples, holes, config, tiny_folders, tmp_path, prepare
):
    spec = f"open_clip:local:{tiny_folders['other-clip']}"
    apart = config.changed(text_encoder=spec, quality_gate=0.3)
    prepared = prepare(samples, holes(samples), samples, apart, tmp_path)
    pool = [sample for sample in samples if sample.complete]
    models = frozen_models(apart)
    for target, source in (("text", "image"), ("image", "text")):
        usual = [oracle(pool, row, source, pool, models)[1] for row in range(len(pool))]
        for row, sample in enumerate(samples):
            value = float(prepared.similarity[target][row])
            if sample.has(target):
                assert math.isnan(value)
                continue
            cosine = oracle(samples, row, source, pool, models)[1]
            rank = sum(other <= cosine for other in usual)
            assert value == pytest.approx((1 + rank) / (1 + len(pool)))
        if target == "text":  # the pairs are judged by their images
            for row, cosine in enumerate(usual):
                rank = sum(other <= cosine + 1e-6 for other in usual)
                mine = float(prepared.pair_similarity[samples.index(pool[row])])
                assert mine == pytest.approx(rank / len(pool))
    assert int((~prepared.pair_similarity.isnan()).sum()) == len(pool)


def test_pairs_that_ask_for_nothing_have_no_measure_without_a_common_space(
    samples, config, tiny_folders, tmp_path, prepare
):
    apart = config.changed(image_encoder=f"open_clip:local:{tiny_folders['other-clip']}")
    nothing = {"image": [False] * len(samples), "text": [False] * len(samples)}
    prepared = prepare(samples, nothing, samples, apart, tmp_path)
    assert prepared.pair_similarity.isnan().all()


def test_provenance_names_the_neighbour(samples, config, models, tmp_path, completer_of, prepare):
    from fedmvp_flwr.completion.contents import CompletionRecord

    prepare(samples[:2], {"text": [False, True]}, samples, config, tmp_path, models)
    completer = completer_of(models, config, samples)
    digest = samples[1].image.digest
    key = completer.key("text", digest, None, samples[1].key)
    record = CompletionRecord.from_bytes(FeatureStore(tmp_path).get_many([key])[key])
    pool = [sample for sample in samples if sample.complete]
    neighbour, cosine = oracle(samples, 1, "image", pool, models)
    assert record.provenance["neighbour"] == neighbour.key
    assert record.provenance["cosine"] == pytest.approx(cosine, abs=1e-3)
    assert record.digest == text_digest(neighbour.text)


def slow_nearest(queries, candidates, excluded):
    found = []
    for query, barred in zip(queries, excluded, strict=True):
        best, cosine = NOBODY, -math.inf
        for place, candidate in enumerate(candidates):
            if place == barred:
                continue
            value = float(query @ candidate / (query.norm() * candidate.norm()))
            if value > cosine:
                best, cosine = place, value
        found.append((best, cosine if best != NOBODY else math.nan))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_against_a_slow_loop(seed):
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randn(9, 4, generator=generator)
    candidates = torch.randn(5, 4, generator=generator)
    excluded = torch.randint(-1, 5, (9,), generator=generator)
    index, cosine = nearest(queries, candidates, excluded)
    for mine, value, (place, oracle) in zip(
        index.tolist(), cosine.tolist(), slow_nearest(queries, candidates, excluded), strict=True
    ):
        assert mine == place
        assert value == pytest.approx(oracle, abs=1e-6)


def test_scale_does_not_matter_and_the_first_of_equals_wins():
    candidates = torch.tensor([[0.0, 1.0], [2.0, 0.0], [9.0, 0.0]])
    index, cosine = nearest(torch.tensor([[3.0, 0.1]]), candidates, torch.tensor([NOBODY]))
    assert index.tolist() == [1]
    assert cosine[0] < 1
    index, _ = nearest(torch.tensor([[3.0, 0.1]]), candidates, torch.tensor([1]))
    assert index.tolist() == [2]


def test_nothing_left_to_take():
    one = torch.ones(1, 2)
    index, cosine = nearest(one, one, torch.tensor([0]))
    assert index.tolist() == [NOBODY]
    assert cosine.isnan().all()
    index, cosine = nearest(one, torch.zeros(0, 2), torch.tensor([NOBODY]))
    assert index.tolist() == [NOBODY]
    assert nearest(torch.zeros(0, 2), one, torch.zeros(0, dtype=torch.int64))[0].shape == (0,)


def test_typicality_counts_the_references_below():
    references = torch.tensor([0.5, math.nan, 0.1, 0.9])
    cosines = torch.tensor([0.0, 0.1, 0.6, 1.0, math.nan])
    strangers = torch.zeros(5, dtype=torch.bool)
    values = typicality(cosines, references, strangers)
    assert values.tolist()[:4] == [1 / 4, 2 / 4, 3 / 4, 1.0]
    assert values[4].isnan()
    assert typicality(torch.tensor([0.3]), torch.tensor([]), strangers[:1]).tolist() == [1.0]


def test_a_reference_counts_once():
    references = torch.tensor([0.5, 0.1, 0.9, 0.9])
    values = typicality(references, references, torch.ones(4, dtype=torch.bool))
    assert values.tolist() == [2 / 4, 1 / 4, 1.0, 1.0]


def test_typicality_of_exchangeable_samples_is_uniform():
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(2000, 20, generator=generator)
    stranger = torch.zeros(1, dtype=torch.bool)
    values = torch.stack([typicality(row[:1], row[1:], stranger)[0] for row in draws])
    for quantile in (0.1, 0.5, 0.9):
        assert float((values <= quantile).float().mean()) == pytest.approx(quantile, abs=0.04)
