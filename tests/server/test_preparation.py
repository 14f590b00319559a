"""The server before its first round, with stand-ins for models, data and nodes."""

import json
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import CheckpointError, DataError
from fedmvp_flwr.base.files import record_hash
from fedmvp_flwr.base.jsonl import read_events
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.protocol.class_counts import ClassCounts
from fedmvp_flwr.server import preparation as module
from fedmvp_flwr.server.journal import Journal
from fedmvp_flwr.server.opened_run import OpenedRun
from fedmvp_flwr.server.preparation import prepare
from fedmvp_flwr.server.probe import Probe, load_probe, save_probe
from fedmvp_flwr.simulation.in_process import InProcessGrid

CLASSES = ("a", "b", "c")


def identities(fingerprint="ab12"):
    model = {"spec": "tiny", "fingerprint": fingerprint, "revision": None}
    return {"image-encoder": model, "text-encoder": model}


class Models:
    """Frozen models of which nothing is there but their names."""

    def __init__(self):
        self.released = 0

    def identities(self):
        return identities()

    def release(self):
        self.released += 1


@pytest.fixture
def models(monkeypatch, make_batch, make_client):
    """Stand-ins for all that takes time."""
    models = Models()
    test = replace(make_client().held_out, seconds={"completion": 0.0, "features": 2.0})
    data = SimpleNamespace(class_names=CLASSES, splits={})
    probe = Probe(make_batch(6))
    for name, value in {
        "frozen_models": lambda *_: models,
        "load_server_dataset": lambda *_: data,
        "completer_for": lambda *_: None,
        "FeatureStore": lambda _: nullcontext(),
        "complete_and_encode": lambda *_: [test],
        "encode": lambda *_: None,
        "save_shown_completions": lambda *_: None,
        "prepare_probe": lambda *_: probe,
    }.items():
        monkeypatch.setattr(module, name, value)
    return models


@pytest.fixture
def nodes(summary, widths):
    """A grid of nodes that tell what they are to tell; each is like the server otherwise."""

    def connect(*told):
        app = ClientApp()

        @app.query("prepare")
        def answer(message, context):
            key = context.node_config["partition-id"]
            assert message.content["dataset"]["class-names"] == list(CLASSES)
            values = summary | {"widths": widths, "models": identities()} | told[key]
            record = ConfigRecord({"partition-id": key, "summary": json.dumps(values)})
            return Message(RecordDict({"prepared": record}), reply_to=message)

        return InProcessGrid(app, {}, [{"partition-id": key} for key in range(len(told))])

    return connect


@pytest.fixture
def opened(tmp_path):
    def make(point=None, **settings):
        config, folder = RunConfig.of(cache_dir=str(tmp_path / "cache"), **settings), tmp_path
        return OpenedRun(config, RunFolder(folder), point, Journal(config, RunFolder(folder)))

    return make


@pytest.fixture
def going_on(summary, make_batch, tmp_path):
    """The point that a run goes on from, of two nodes as they are."""

    def make(**changes):
        samples = record_hash(summary["hashes"])
        state = {
            "class_names": [*CLASSES],
            "probe": Probe(make_batch(6)).digest,
            "models": {"image": "ab12", "text": "ab12"},
            "threshold": 0.75,
            "counts": ClassCounts([9, 9, 9], {"image": [9, 9, 0], "text": [9, 9, 9]}),
            "names": {},
            "data": {"0": samples, "1": samples},
        }
        folder = SimpleNamespace(path=tmp_path)
        return SimpleNamespace(
            server_round=4, folder=folder, state=SimpleNamespace(**(state | changes))
        )

    return make


def test_nodes_and_server_are_ready_together(models, nodes, opened):
    run = opened()
    told = [{"gate-threshold": threshold} for threshold in (0.1, 0.2, 0.9)]
    prepared = prepare(run, nodes(*told))
    assert [summary.partition_id for summary in prepared.admission.ready()] == [0, 1, 2]
    assert prepared.threshold == 0.2
    assert prepared.counts == ClassCounts([9, 0, 6], {"image": [3, 0, 3], "text": [9, 0, 6]})
    assert prepared.data.class_names == CLASSES
    assert prepared.encoders == {"image": "ab12", "text": "ab12"}
    assert prepared.probe_hash == load_probe(run.folder.probe).digest
    assert models.released == 1
    assert run.journal.seconds["features"] == 2.0 + 3 * 1.5
    events = read_events(run.folder.metrics)
    assert (events[0]["event"], events[0]["class-names"]) == ("run-start", [*CLASSES])
    assert [e["partition-id"] for e in events if e["event"] == "client"] == [0, 1, 2]
    phases = [(e["name"], e["status"]) for e in events if e["event"] == "phase"]
    assert phases == [(name, at) for name in ("completion", "probe") for at in ("start", "end")]


def test_without_graph_and_tuning_there_is_no_probe(models, nodes, opened):
    run = opened(method="fedavg")
    prepared = prepare(run, nodes({}, {}))
    assert prepared.probe_hash is None
    assert not run.folder.probe.exists()


def test_somebody_must_have_something_to_train_on(models, nodes, opened):
    nothing = {"trainable": 0}
    assert prepare(opened(), nodes(nothing, {})).admission.told(0).trainable == 0
    with pytest.raises(DataError, match="No client has anything to train on"):
        prepare(opened(), nodes(nothing, nothing))


def test_a_node_with_other_encoders_is_left_out_or_ends_the_run(models, nodes, opened):
    other = {"models": identities("cd34")}
    with pytest.raises(DataError, match=r"2 of 3, all are needed.*another image-encoder"):
        prepare(opened(), nodes({}, {}, other))
    prepared = prepare(opened(min_nodes=2), nodes({}, {}, other))
    assert [summary.partition_id for summary in prepared.admission.ready()] == [0, 1]


def test_a_resumed_run_has_threshold_counts_and_probe_of_before(
    models, nodes, opened, going_on, make_batch, monkeypatch
):
    def refuse(*_):
        raise AssertionError("a probe was made although there is one")

    run = opened(going_on())
    save_probe(run.folder.probe, Probe(make_batch(6)))
    monkeypatch.setattr(module, "prepare_probe", refuse)
    prepared = prepare(run, nodes({}, {}))
    assert (prepared.threshold, prepared.counts) == (0.75, run.state.counts)
    (begun,) = [e for e in read_events(run.folder.metrics) if e["event"].startswith("run-")]
    assert (begun["event"], begun["after-round"]) == ("run-resume", 4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"class_names": ["a", "c", "b"]}, "another list of classes"),
        ({"probe": "0a"}, "another probe: '0a', now '"),
        ({"models": {"image": "ef", "text": "ab12"}}, "another frozen encoder"),
    ],
    ids=str,
)
def test_a_run_is_not_gone_on_with_where_something_else_is_there(
    models, nodes, opened, going_on, changes, said
):
    with pytest.raises(CheckpointError, match=said):
        prepare(opened(going_on(**changes)), nodes({}, {}))


def test_a_client_with_other_samples_is_named_and_takes_part(
    models, nodes, opened, going_on, summary, caplog
):
    other = {"hashes": summary["hashes"] | {"keys": "4e"}}
    prepared = prepare(opened(going_on()), nodes({}, other, {}))  # the third one is new
    assert len(prepared.admission.ready()) == 3
    (said,) = [r.getMessage() for r in caplog.records if "other samples" in r.getMessage()]
    assert said.startswith("Client 1 ")


def test_a_probe_that_was_made_for_other_data_is_refused(
    models, nodes, opened, make_batch, monkeypatch
):
    other = Probe(make_batch(12, num_classes=9, seed=1))
    assert int(other.batch.labels.max()) > 2
    monkeypatch.setattr(module, "prepare_probe", lambda *_: other)
    run = opened(probe_source="file:unused")
    with pytest.raises(DataError, match="this run knows 3 classes"):
        prepare(run, nodes({}, {}))
    assert not run.folder.probe.exists()
