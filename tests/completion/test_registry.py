"""The ways of completion, and a new one: a class and a line, from the preflight to the client."""

import pytest

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.client.preparation import prepare_client
from fedmvp_flwr.completion.completer import Completer
from fedmvp_flwr.completion.contents import Completion
from fedmvp_flwr.completion.pipeline import load_completion
from fedmvp_flwr.completion.registry import (
    COMPLETERS,
    completer_class,
    frozen_models,
)
from fedmvp_flwr.completion.store import FeatureStore, key_for
from fedmvp_flwr.config.node import Node
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.preflight.checks import preflight


class Motto(Completer):
    """Every missing text is the same one; a missing image stays missing."""

    def key(self, modality, digest, class_name, sample_key):
        return key_for("completion", way="motto", source=digest) if modality == "text" else None

    def complete(self, modality, sources):
        return [Completion("a flower is a flower", {"modality": modality}) for _ in sources]


@pytest.fixture
def config(tiny_config, tmp_path):
    return tiny_config.changed(
        completion="motto", quality_gate=0.0, cache_dir=str(tmp_path), train_samples=40,
        test_samples=6, method="fedavg", partition="iid",
    )  # fmt: skip


def test_a_new_way_is_a_class_and_a_line(config, tmp_path, monkeypatch):
    monkeypatch.setitem(COMPLETERS, "motto", Motto)
    report = preflight(config, 2)
    assert report.problems == []
    left = {row["work"]: row["left"] for row in report.work}
    node, models = Node(0, 2, tmp_path), frozen_models(config)
    dataset = load_dataset(config.data, tmp_path)
    data = prepare_client(dataset, config, node, models)
    made = data.summary.completions
    lacking = data.summary.missing
    assert made["text"].made > 0
    assert made["image"].made == 0
    assert left["images to generate"] == 0
    text = data.train.modalities["text"]
    assert int(text.generated.sum()) == lacking["text"]
    assert set(models.models_loaded) == {"image_encoder", "text_encoder"}
    again = prepare_client(dataset, config, node, frozen_models(config))
    assert again.summary.completions["text"].reused == made["text"].made
    bare = next(s for s in dataset.splits["train"] if s.image)
    with FeatureStore(tmp_path) as store:
        found = load_completion(
            completer_class(config.completion)(models, config.completion), bare, "text", store
        )
    assert found in (None, "a flower is a flower")


def test_an_unknown_way_is_refused_before_anything_else(config):
    settings = config.changed(completion="fundation").completion
    with pytest.raises(ConfigError, match=r"completion='fundation'.*did you mean 'foundation'"):
        completer_class(settings)
    (problem,) = preflight(config.changed(completion="fundation"), 2).problems
    assert "expected one of foundation, retrieval, none" in problem


def test_every_way_says_what_it_needs():
    assert COMPLETERS["foundation"].roles == ("image_generator", "captioner")
    assert COMPLETERS["foundation"].makes()
    assert not COMPLETERS["retrieval"].makes()
    assert not COMPLETERS["none"].completes
