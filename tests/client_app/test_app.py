"""The answers of the ClientApp, of a client whose features are given."""

import json
from types import SimpleNamespace

import pytest
import torch
from flwr.app import ConfigRecord, Context, Message, RecordDict

from client_app import app as module
from client_app.app import app
from fedmvp_flwr.aggregation.compression import unwrap, wrap
from fedmvp_flwr.aggregation.wire import pack, unpack
from fedmvp_flwr.base.errors import ConfigError, DataError
from fedmvp_flwr.protocol.class_counts import ClassCounts
from fedmvp_flwr.protocol.messages import CLASS_NAMES, GATE_FALLBACK, PREPARE_MESSAGE
from fedmvp_flwr.protocol.scores import wrong_losses, wrong_scores
from fedmvp_flwr.protocol.summary import read_summary

SETTINGS = {"model-width": 16, "model-heads": 2, "local-epochs": 1, "wire-dtype": "fp32"}

COUNTS = ClassCounts([9, 9, 9], {"image": [9, 9, 0], "text": [9, 9, 9]})


@pytest.fixture
def ask(network, tmp_path):
    """Send a message of a kind to a client; returns its reply."""

    def send(kind, server_round=1, fallback=-1.0, settings=None, node=None):
        told = {"server-round": server_round, CLASS_NAMES: ["a", "b", "c"], GATE_FALLBACK: fallback}
        told |= COUNTS.record()
        arrays = wrap(pack(network.state_dict(), "fp32"))
        content = RecordDict({"arrays": arrays, "config": ConfigRecord(told)})
        node = node or {"partition-id": 3, "num-partitions": 5}
        run = SETTINGS | {"cache-dir": str(tmp_path / "cache")} | (settings or {})
        context = Context(1, 2, node, RecordDict(), run)
        return app(Message(content, 2, kind), context)

    return send


@pytest.fixture
def own(monkeypatch):
    """Give the client its features, in the place of those that it has prepared."""

    def give(data):
        monkeypatch.setattr(module, "client_data", lambda config, node, classes: data)
        return data

    return give


def arrays_of(reply):
    return unpack(unwrap(reply.content["arrays"]))


def test_a_training_is_answered_with_arrays_and_losses(ask, own, make_client, network):
    data = own(make_client())
    reply = ask("train")
    assert wrong_losses(reply.content["metrics"], len(data.train)) is None
    assert reply.content["metrics"]["num-examples"] == 5
    trained, before = arrays_of(reply), network.state_dict()
    assert trained.keys() == before.keys()
    assert any(not torch.equal(trained[name], before[name]) for name in before)


def test_seed_and_round_determine_a_training_and_no_other_random_number(ask, own, make_client):
    own(make_client())
    state = torch.get_rng_state()
    first = arrays_of(ask("train"))
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)

    def same(reply):
        return all(torch.equal(tensor, first[name]) for name, tensor in arrays_of(reply).items())

    assert same(ask("train"))
    assert not same(ask("train", server_round=2))
    assert not same(ask("train", settings={"seed": 1}))


def test_an_evaluation_is_answered_with_scores(ask, own, make_client):
    data = own(make_client())
    metrics = ask("evaluate").content["metrics"]
    assert wrong_scores(metrics, len(data.held_out)) is None
    assert (metrics["num-examples"], metrics["count.complete"], metrics["count.given"]) == (4, 2, 4)


@pytest.mark.parametrize(
    ("kind", "counts", "said"),
    [
        ("train", {"train": 1, "incomplete": "drop", "threshold": 1.1}, "nothing to train on"),
        ("evaluate", {"held_out": 0}, "no held-out sample"),
    ],
)
def test_a_client_without_samples_says_so(ask, own, make_client, kind, counts, said):
    own(make_client(**counts))
    with pytest.raises(DataError, match=f"Client 3 has {said}"):
        ask(kind)


def test_the_message_brings_the_gate_of_a_client_without_a_pair(ask, own, make_client, monkeypatch):
    own(make_client(threshold=-1.0, told={"complete": 0}))
    seen = []

    def train(network, batch, *_):
        seen.append(int(batch.modalities["image"].generated.sum()))
        return {"total": 0.0}

    monkeypatch.setattr(module, "train", train)
    for fallback in (-1.0, 0.9, 1.1):
        ask("train", fallback=fallback)
    assert seen == [3, 1, 0]


def test_a_model_that_is_too_large_for_a_message_is_not_sent(ask, own, make_client):
    own(make_client())
    with pytest.raises(ConfigError, match="max-message-mb"):
        ask("train", settings={"max-message-mb": 0.001})


def prepared(reply):
    return dict(reply.content["prepared"])


def test_prepare_tells_who_the_client_is_and_what_it_has(ask, summary, monkeypatch):
    asked = []

    def prepare(config, node, classes):
        asked.append((node.key, classes))
        return SimpleNamespace(summary=read_summary(summary))

    monkeypatch.setattr(module, "prepare_node", prepare)
    told = prepared(ask(PREPARE_MESSAGE))
    assert asked == [(3, ["a", "b", "c"])]
    assert told["partition-id"] == 3
    assert json.loads(told["summary"]) == summary


def test_prepare_says_what_is_wrong_in_the_place_of_a_summary(ask, monkeypatch):
    def refuse(*_):
        raise DataError("the captioner lies nowhere")

    monkeypatch.setattr(module, "prepare_node", refuse)
    told = prepared(ask(PREPARE_MESSAGE))
    assert told == {"partition-id": 3, "problem": "the captioner lies nowhere"}
    told = prepared(ask(PREPARE_MESSAGE, settings={"sed": 1}))
    assert "did you mean 'seed'" in told["problem"]


def test_a_node_keeps_the_words_of_an_error_to_itself(ask, monkeypatch, tmp_path):
    def broken(*_):
        raise OSError("cannot read /ward-7/smith.png")

    monkeypatch.setattr(module, "prepare_node", broken)
    node = {"data-path": str(tmp_path), "name": "north", "cache-dir": str(tmp_path / "own")}
    told = prepared(ask(PREPARE_MESSAGE, node=node))
    assert told["name"] == "north"
    assert "OSError" in told["problem"]
    assert "smith" not in told["problem"]
    (line,) = (tmp_path / "own" / "events.jsonl").read_text().splitlines()
    assert json.loads(line)["error"] == "OSError"
