import json
from dataclasses import dataclass, replace
from importlib.util import find_spec

import pytest
import torch

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import DataError, ModelError
from fedmvp_flwr.base.features import Batch, ModalityFeatures, stack_modality
from fedmvp_flwr.base.samples import MODALITIES, Sample
from fedmvp_flwr.client import preparation
from fedmvp_flwr.client.preparation import prepare_client
from fedmvp_flwr.completion.gating import conditions
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.completion.registry import completer_class
from fedmvp_flwr.completion.requests import all_sides
from fedmvp_flwr.config.node import Node
from fedmvp_flwr.data.dealing.client_samples import client_samples
from fedmvp_flwr.data.dealing.patterns import whole_test_mask

pytestmark = pytest.mark.skipif(
    find_spec("flwr_datasets") is None, reason="the partitioners come with the extra 'data'"
)


SEEN = dict.fromkeys(MODALITIES, torch.zeros(2, dtype=torch.bool))  # each class, by some owner


@dataclass(frozen=True)
class Picture:
    digest: str

    @property
    def brightness(self):
        return int(self.digest) / 100


class TinyData:
    class_names = ("a", "b")
    class_descriptions = ("a red one", "a blue one")

    def __init__(self, train=40, test=20):
        self.splits = {
            name: [Sample(f"{name}-{i}", i % 2, Picture(f"{i}"), f"text {i}") for i in range(count)]
            for name, count in (("train", train), ("test", test))
        }


def fake_prepare(samples, complete, similarity=0.5):
    """What `prepare` would hand over, from features that are constants."""

    def stack(flags, generated):
        item = ModalityFeatures(torch.ones(2, 3).half(), torch.ones(3).half())
        return stack_modality([item if f else None for f in flags], [generated] * len(flags), 3, 3)

    asked = {name: list(complete.get(name, [False] * len(samples))) for name in MODALITIES}
    real = {name: stack([s.has(name) for s in samples], False) for name in MODALITIES}
    made = {name: sum(asked[name]) for name in MODALITIES}
    ranks = torch.arange(len(samples)) / max(len(samples), 1)  # the first completions are worst
    return PreparedSet(
        keys=tuple(s.key for s in samples),
        real=Batch(real, torch.tensor([s.label for s in samples], dtype=torch.int64)),
        completed={name: stack(asked[name], True) for name in MODALITIES},
        similarity={
            name: torch.where(torch.tensor(asked[name], dtype=torch.bool), ranks, torch.nan)
            for name in MODALITIES
        },
        pair_similarity=torch.tensor([similarity if s.complete else float("nan") for s in samples]),
        made=made,
        reused=dict.fromkeys(MODALITIES, 0),
        seconds={"completion": 0.0, "features": 0.0},
    )


def owned(dataset, config, node):
    return client_samples(dataset, node, config.data, config.missing, config.run)


@pytest.fixture(autouse=True)
def _no_models(monkeypatch):
    def fake(asked, store, on_progress=None):
        wanted = [r.complete if r.completer.completes else {} for r in asked]
        return [fake_prepare(r.samples, flags) for r, flags in zip(asked, wanted, strict=True)]

    monkeypatch.setattr(preparation, "prepare", fake)


@pytest.fixture
def node(tmp_path):
    return Node(1, 4, tmp_path / "cache")


class NamedModels:
    def fingerprint(self, role):
        return f"fingerprint of {role}"

    def identities(self):
        return {"image-encoder": {"spec": "a:b", "fingerprint": "f", "revision": None}}


def client(node, **settings):
    settings = {"partition": "iid", "missing_pattern": "random", "missing_ratio": 0.8} | settings
    return prepare_client(TinyData(), RunConfig.of(**settings), node, NamedModels())


def test_every_method_sees_the_same_holes(node):
    hashes = {
        client(node, **settings).summary.hashes["mask"]
        for settings in ({}, {"method": "fedavg"}, {"completion": "none"}, {"incomplete": "drop"})
    }
    assert len(hashes) == 1


def test_masked_samples_stay_without_completion(node):
    data = client(node, completion="none")
    present = torch.stack([m.present for m in data.train.modalities.values()])
    assert len(data.train) == 10
    assert int(present.all(dim=0).sum()) == 2
    assert present.any(dim=0).all()
    assert not any(m.generated.any() for m in data.train.modalities.values())
    assert data.test(SEEN).completed == {}


def test_dropping_keeps_complete_samples_only(node):
    assert len(client(node, completion="none", incomplete="drop").train) == 2


def test_completions_fill_the_holes(node):
    data = client(node, quality_gate=0.0)
    present = torch.stack([m.present for m in data.train.modalities.values()])
    generated = torch.stack([m.generated for m in data.train.modalities.values()])
    assert present.all()
    assert int(generated.sum()) == 8
    assert len(client(node, quality_gate=0.0, incomplete="drop").train) == 10


def test_the_gate_keeps_bad_completions_out(node):
    data = client(node, quality_gate=0.5)  # two pairs at 0.5: the threshold
    generated = torch.stack([m.generated for m in data.train.modalities.values()]).any(dim=0)
    assert data.summary.gate_threshold == pytest.approx(0.5)
    assert not generated[:5].any()
    assert generated[5:].any()
    counts = data.summary.completions
    assert sum(c.rejected for c in counts.values()) + int(generated.sum()) == 8
    assert sum(c.made for c in counts.values()) == 8


def test_the_summary_counts_and_names_no_content(node):
    summary = client(node).summary
    assert summary.partition_id == 1
    assert summary.samples == 10
    assert summary.complete == 2
    assert summary.missing == {"image": 4, "text": 4}
    assert sum(summary.labels) == 10
    assert {name: sum(counts) for name, counts in summary.real.items()} == {"image": 6, "text": 6}
    assert "text " not in json.dumps(summary.to_json())


def test_the_test_set_under_every_condition(node):
    data = client(node, quality_gate=0.0)
    test = data.test(SEEN)
    plain, completed = test.plain, test.completed
    assert list(plain) == ["complete", "image-only", "text-only"]
    assert list(completed) == ["image-only", "text-only"]
    assert not plain["image-only"].modalities["text"].present.any()
    assert completed["image-only"].modalities["text"].generated.all()
    assert not completed["image-only"].modalities["image"].generated.any()
    assert not plain["complete"].modalities["text"].generated.any()


def test_the_test_set_of_classes_that_no_owner_has_a_modality_of(node):
    unseen = {"image": torch.tensor([False, True]), "text": torch.tensor([False, False])}
    test = client(node, quality_gate=0.0).test(unseen)
    for sets in (test.plain, test.completed):
        assert sets["unseen-image"].labels.tolist() == [
            label for label in sets["image-only"].labels.tolist() if label == 1
        ]
        assert "unseen-text" not in sets
    assert not test.plain["unseen-image"].modalities["text"].present.any()


def without_images(samples):
    return [replace(sample, image=None) for sample in samples]


class HalfData(TinyData):
    """Nobody has an image."""

    def __init__(self):
        super().__init__()
        self.splits = {name: without_images(samples) for name, samples in self.splits.items()}


def test_a_client_without_a_pair_takes_the_threshold_of_others(node):
    config = RunConfig.of(partition="iid", missing_pattern="random", quality_gate=0.5)
    data = prepare_client(HalfData(), config, node, models=NamedModels())
    assert data.summary.complete == 0
    assert data.summary.gate_threshold == -1.0
    for fallback, accepted in ((-1.0, 10), (0.5, 5), (1.0, 0)):
        image = data.gated(fallback).train.modalities["image"]
        assert int(image.generated.sum()) == accepted
    own = prepare_client(TinyData(), config, node, models=NamedModels())
    assert own.summary.gate_threshold == pytest.approx(0.5)
    assert own.gated(1.0) is own


def test_a_client_with_nothing_to_train_on_says_so(node):
    config = RunConfig.of(partition="iid", completion="none", incomplete="drop")
    data = prepare_client(HalfData(), config, node, models=NamedModels())
    assert len(data.train) == data.summary.trainable == 0
    masked = config.changed(incomplete="mask")
    assert prepare_client(HalfData(), masked, node, models=NamedModels()).summary.trainable == 10


def test_a_test_set_without_a_modality(node):
    config = RunConfig.of(partition="iid", quality_gate=0.0)
    test = prepare_client(HalfData(), config, node, models=NamedModels()).test(SEEN)
    sizes = {name: len(batch) for name, batch in test.plain.items()}
    count = sizes["text-only"]
    assert sizes == {"complete": 0, "image-only": 0, "text-only": count, "given": count}
    assert {name: len(batch) for name, batch in test.completed.items()} == {
        "text-only": count,
        "given": count,
    }
    assert test.completed["given"].modalities["image"].generated.all()


def test_holes_of_the_test_set(tmp_path):
    config = RunConfig.of(
        partition="iid", test_missing_ratio=0.5, missing_image_share=1.0, quality_gate=0.0
    )
    held_out = []
    for i in range(4):
        node = Node(i, 4, tmp_path)
        samples = owned(TinyData(), config, node)
        held_out += samples.test
        test = prepare_client(TinyData(), config, node, models=NamedModels()).test(SEEN)
        whole = sum(s.complete for s in samples.test)
        sizes = {name: len(batch) for name, batch in test.plain.items()}
        assert sizes.pop("given", len(samples.test)) == len(samples.test)
        everyone = len(samples.test)
        assert sizes == {"complete": whole, "image-only": whole, "text-only": everyone}
        assert "complete" not in test.completed
    assert sum(not s.has("image") for s in held_out) == 10
    server = whole_test_mask(TinyData().splits["test"], config.missing, config.run.seed, 2)
    assert {s.key for s in held_out if not s.has("image")} == {
        key for key, flag in zip(server.keys, server.present["image"], strict=True) if not flag
    }


def test_more_clients_than_samples_are_refused(tmp_path):
    with pytest.raises(DataError, match="50 clients cannot share 40"):
        client(Node(1, 50, tmp_path))


def test_a_gate_needs_encoders_that_can_be_compared():
    class Models:
        comparable = False
        settings = RunConfig.of().models

    def check(**settings):
        completion = RunConfig.of(**settings).completion
        completer_class(completion).check_gate(Models(), completion)

    with pytest.raises(ModelError, match=r"no embedding space.*gate-encoder"):
        check()
    with pytest.raises(ModelError, match=r"gate-encoder='timm:a:/b' share no embedding space"):
        check(gate_encoder="timm:a:/b")
    check(completion="retrieval")  # gated by distance
    check(quality_gate=0.0)
    check(completion="none")


def test_held_out_samples_may_have_holes(tmp_path):
    samples = [Sample(f"{i}", 0, Picture(f"{i}"), f"text {i}") for i in range(4)]
    samples[1] = replace(samples[1], image=None)
    samples[2] = replace(samples[2], text=None)
    flags = all_sides(samples)
    assert flags == {"image": [True, True, False, True], "text": [True, False, True, True]}
    test = fake_prepare(samples, flags)
    sets = conditions(test, 0.0, RunConfig.of(quality_gate=0.0).completion, SEEN)
    sizes = {name: len(batch) for name, batch in sets.plain.items()}
    assert sizes == {"complete": 2, "image-only": 3, "text-only": 3, "given": 4}
    assert {name: len(batch) for name, batch in sets.completed.items()} == {
        "image-only": 3,
        "text-only": 3,
        "given": 4,
    }
