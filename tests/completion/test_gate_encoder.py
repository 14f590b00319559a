"""A gate model of its own: encoders that share no space, judged by a third model."""

import pytest
import torch

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.completion import pipeline
from fedmvp_flwr.completion.registry import completer_class, frozen_models
from fedmvp_flwr.completion.requests import Request
from fedmvp_flwr.completion.store import FeatureStore


@pytest.fixture(scope="module")
def apart(tiny_config, tiny_folders):
    """Two encoders without a common space, and an image-text model as the gate."""
    update = {
        "image_encoder": f"open_clip:local:{tiny_folders['other-clip']}",
        "gate_encoder": f"open_clip:local:{tiny_folders['clip']}",
    }
    return tiny_config.changed(**update)


def prepare(samples, complete, config, root, models=None):
    models = models or frozen_models(config)
    with FeatureStore(root) as store:
        completer = completer_class(config.completion)(models, config.completion)
        return pipeline.prepare([Request(samples, complete, completer)], store)[0]


def test_similarities_are_those_of_the_gate(apart, tiny_config, samples, holes, tmp_path):
    mine = prepare(samples, holes(samples), apart, tmp_path / "apart")
    oracle = prepare(samples, holes(samples), tiny_config, tmp_path / "joint")
    for name in ("image", "text"):
        left, right = mine.similarity[name], oracle.similarity[name]
        assert torch.equal(left.isnan(), right.isnan())
        assert torch.allclose(left.nan_to_num(), right.nan_to_num(), atol=5e-3)
    assert torch.allclose(
        mine.pair_similarity.nan_to_num(), oracle.pair_similarity.nan_to_num(), atol=5e-3
    )
    assert not torch.equal(
        mine.real.modalities["image"].pooled, oracle.real.modalities["image"].pooled
    )


def test_a_second_run_loads_neither_encoders_nor_gate(
    apart, samples, forbidden_samples, holes, tmp_path
):
    first = prepare(samples, holes(samples), apart, tmp_path)
    models = frozen_models(apart)
    again = prepare(forbidden_samples, holes(samples), apart, tmp_path, models)
    assert models.models_loaded == models.gate.models_loaded == ()
    assert torch.equal(again.similarity["text"].nan_to_num(), first.similarity["text"].nan_to_num())


def test_a_gate_added_later_computes_its_own_part_alone(apart, samples, holes, tmp_path):
    without = apart.changed(gate_encoder="", quality_gate=0.0)
    first = prepare(samples, holes(samples), without, tmp_path)
    assert first.similarity["image"].isnan().all()
    models = frozen_models(apart)
    again = prepare(samples, holes(samples), apart, tmp_path, models)
    assert models.models_loaded == ()
    assert set(models.gate.models_loaded) == {"image_encoder", "text_encoder"}
    assert again.made == {"image": 0, "text": 0}
    assert int((~again.similarity["image"].isnan()).sum()) == 3


@pytest.mark.parametrize("update", [{"quality_gate": 0.0}, {"completion": "none"}])
def test_without_a_gate_its_model_is_not_asked_for(apart, update):
    config = apart.changed(**{"gate_encoder": "open_clip:/no/such/folder", **update})
    models = frozen_models(config)
    assert models.gate is models


def test_a_gate_model_that_is_not_there_is_named_by_its_key(apart):
    config = apart.changed(gate_encoder="open_clip:/no/such/folder")
    with pytest.raises(ModelError, match=r"gate-encoder='open_clip:/no/such/folder'.*exist"):
        frozen_models(config)


def test_a_gate_model_without_texts_is_refused(apart):
    config = apart.changed(gate_encoder="timm:local:/somewhere")
    with pytest.raises(ModelError, match="gate-encoder"):
        frozen_models(config)


def test_the_models_of_a_run_are_named(apart, tiny_folders):
    named = frozen_models(apart).identities()
    assert sorted(named) == [
        "captioner",
        "gate-encoder",
        "image-encoder",
        "image-generator",
        "text-encoder",
    ]
    assert named["image-encoder"]["spec"] == apart.models.image_encoder
    assert named["gate-encoder"]["spec"] == apart.completion.gate_encoder
    assert named["gate-encoder"]["fingerprint"] == named["text-encoder"]["fingerprint"]
    assert {entry["revision"] for entry in named.values()} == {None}
