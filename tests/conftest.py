import gc
import importlib.util
import os
import sys
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from fedmvp_flwr.aggregation.nodes import IDENTITY_MESSAGE, PARTITION_ID
from fedmvp_flwr.base.features import Batch, ModalityBatch

TOKEN_WIDTHS = {"image": 6, "text": 5}
POOLED_WIDTHS = {"image": 7, "text": 4}
_TINY = "fedmvp_tiny_models"
_SLOW = {
    *("apps", "assets", "deploy", "examples"),
    *("pretraining", "quality", "reliability", "simulation"),
}


def pytest_collection_modifyitems(items):
    """Rooms that train or start processes are slow; workers begin with that, so that none ends so.

    A file elsewhere says by `pytest.mark.slow` what of it is.
    """
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in _SLOW:
            item.add_marker(pytest.mark.slow)
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def make_modality(count, length, token_width, pooled_width, generator, present=None):
    """Random features; each present sample has between 1 and `length` valid tokens."""
    present = torch.ones(count, dtype=torch.bool) if present is None else present
    lengths = torch.randint(1, length + 1, (count,), generator=generator)
    mask = (torch.arange(length) < lengths[:, None]) & present[:, None]
    tokens = torch.randn(count, length, token_width, generator=generator) * mask[:, :, None]
    pooled = torch.randn(count, pooled_width, generator=generator) * present[:, None]
    return ModalityBatch(tokens, mask, pooled, present, torch.zeros(count, dtype=torch.bool))


def make_batch(count=8, seed=0, lengths=(4, 3), num_classes=3, present=None):
    """A random batch of two modalities; `present` names (N,) flags by modality."""
    generator = torch.Generator().manual_seed(seed)
    modalities = {
        name: make_modality(
            count,
            length,
            TOKEN_WIDTHS[name],
            POOLED_WIDTHS[name],
            generator,
            (present or {}).get(name),
        )
        for name, length in zip(("image", "text"), lengths, strict=True)
    }
    labels = torch.randint(num_classes, (count,), generator=generator)
    return Batch(modalities, labels)


@pytest.fixture(name="make_batch")
def make_batch_fixture():
    return make_batch


@pytest.fixture
def widths():
    return {name: [TOKEN_WIDTHS[name], POOLED_WIDTHS[name]] for name in TOKEN_WIDTHS}


@pytest.fixture
def network(widths):
    from fedmvp_flwr.config import RunConfig
    from fedmvp_flwr.model.network import FedMVPNetwork

    training = RunConfig.of(model_width=16, model_heads=2, model_dropout=0.0).training
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FedMVPNetwork(training, widths, 3).eval()


@pytest.fixture(scope="session")
def tiny_models_module():
    """The builders of tiny foundation models, which live beside the tests of the adapters."""
    if _TINY not in sys.modules:
        path = Path(__file__).with_name("foundation") / "tiny_models.py"
        spec = importlib.util.spec_from_file_location(_TINY, path)
        sys.modules[_TINY] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[_TINY])
    return sys.modules[_TINY]


@pytest.fixture
def light_runs(monkeypatch):
    """Runs in this process take half of their time for the report, a quarter to collect garbage."""
    gc.collect()
    gc.freeze()  # what the libraries hold need not be looked at again
    monkeypatch.setattr("fedmvp_flwr.server.journal.write_report_if_available", lambda _: None)


@pytest.fixture
def summary():
    """What a healthy node tells when it is asked to prepare."""
    counts = {"made": 1, "reused": 2, "rejected": 0}
    model = {"spec": "tiny", "fingerprint": "ab12", "revision": None}
    return {
        "partition-id": 3,
        "samples": 5,
        "held-out": 2,
        "complete": 2,
        "trainable": 5,
        "missing": {"image": 3, "text": 0},
        "labels": [3, 0, 2],
        "real": {"image": [1, 0, 1], "text": [3, 0, 2]},
        "completions": {"image": counts, "text": counts},
        "gate-threshold": 0.25,
        "widths": {"image": [8, 4], "text": [8, 4]},
        "seconds": {"completion": 0.0, "features": 1.5},
        "models": {"image-encoder": model, "text-encoder": model},
        "hashes": {"split": "0a", "mask": "1b", "test-mask": "2c", "keys": "3d"},
        "name": "",
    }


def prepared_set(count):
    """Samples with holes that are completed, well and badly."""
    from fedmvp_flwr.completion.prepared import PreparedSet

    holes = torch.arange(count) % 2 == 0
    made = make_batch(count, seed=7, present={"image": holes}).modalities
    return PreparedSet(
        keys=tuple(map(str, range(count))),
        real=make_batch(count, seed=count, present={"image": ~holes}),
        completed={n: replace(m, generated=m.present.clone()) for n, m in made.items()},
        similarity={name: torch.linspace(0, 1, count) for name in made},
        pair_similarity=torch.linspace(0, 1, count).masked_fill(holes, torch.nan),
        made={},
        reused={},
        seconds={},
    )


@pytest.fixture
def make_client(summary):
    """What a client has prepared: samples to train on, held-out ones, and what it tells."""
    from fedmvp_flwr.client.data import ClientData
    from fedmvp_flwr.config import RunConfig
    from fedmvp_flwr.protocol.summary import read_summary

    def make(train=5, held_out=4, threshold=0.25, told=None, **settings):
        return ClientData(
            RunConfig.of(**settings).completion,
            prepared_set(train),
            prepared_set(held_out),
            threshold,
            read_summary(summary | (told or {})),
        )

    return make


@pytest.fixture
def task_identity(monkeypatch):
    """Who sends the messages: Flower sets this when it starts a ServerApp."""
    for name, value in (("_task_id", 1), ("_run_id", 1), ("_node_id", 1)):
        monkeypatch.setattr(TaskIdentity, name, value)


def answer(message, arrays=None, metrics=None, **extra):
    """A reply with at most one record of each kind, and whatever else a test wants in it."""
    content = RecordDict()
    if arrays is not None:
        content["arrays"] = arrays
    if metrics is not None:
        content["metrics"] = MetricRecord(metrics)
    content.update(extra)
    return Message(content, reply_to=message)


class FakeGrid:
    """Nodes in memory: `clients` maps node ids to partition-ids, `behave` answers a message."""

    def __init__(self, clients, behave, shuffle=0):
        self.clients = dict(clients)
        self.behave = behave
        self.asked = []
        self._generator = torch.Generator().manual_seed(shuffle)

    def get_node_ids(self):
        ids = list(self.clients)
        return [ids[i] for i in torch.randperm(len(ids), generator=self._generator)]

    def send_and_receive(self, messages, *, timeout=None):
        replies = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = str(uuid4())
            partition = self.clients[message.metadata.dst_node_id]
            kind = message.metadata.message_type
            if kind == IDENTITY_MESSAGE:
                reply = self._identity(message, partition)
            else:
                self.asked.append((kind, partition))
                reply = self.behave(message, partition)
            if reply is not None:
                replies.append(reply)
        order = torch.randperm(len(replies), generator=self._generator)
        return [replies[i] for i in order]

    def _identity(self, message, partition):
        if partition is None:
            return Message(Error(code=2, reason="no such action"), reply_to=message)
        return answer(message, identity=ConfigRecord({PARTITION_ID: partition}))

    def partitions(self, kind):
        return [partition for asked, partition in self.asked if asked == kind]


@pytest.fixture
def fake_grid():
    return FakeGrid


@pytest.fixture(name="answer")
def answer_fixture():
    return answer


@pytest.fixture
def instruction():
    def make(node_id=7, message_type="train"):
        message = Message(RecordDict({"arrays": ArrayRecord()}), node_id, message_type)
        message.metadata.__dict__["_message_id"] = str(uuid4())
        return message

    return make
