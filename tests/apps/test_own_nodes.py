"""Nodes with folders of their own, and a server without data, in one process."""

import json
import re
from contextlib import suppress
from dataclasses import replace

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import DataError, FedMVPError
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.config.node import Node
from fedmvp_flwr.data.dealing.export import export_parts
from fedmvp_flwr.data.sources.registry import load_dataset

pytestmark = pytest.mark.slow

SETTINGS = {
    "dataset": "nodes",
    "num-server-rounds": 2,
    "evaluate-every": 1,
    "local-epochs": 1,
    "probe-per-class": 2,
    "image-generator": "diffusers:embedded?steps=2",
    "model-width": 32,
}
# All that a node tells when it has prepared: the list in docs/deploy.md has to grow with it.
TOLD = {
    *("partition-id", "name", "samples", "held-out", "complete", "trainable", "missing", "labels"),
    "real",
    *("completions", "gate-threshold", "widths", "seconds", "models", "hashes"),
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Three exported folders of Flora, with their holes."""
    target = tmp_path_factory.mktemp("parts") / "flora"
    config = RunConfig.of(
        train_samples=72, test_samples=36, partition="iid",
        missing_pattern="random", missing_ratio=0.5,
    )  # fmt: skip
    return export_parts(load_dataset(config.data, cache_folder(config.run)), config, 3, target)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("stores")


@pytest.fixture
def run(run_lightly, parts, store, tmp_path):
    def start(nodes=None, **settings):
        where = {
            "out-dir": str(tmp_path / "out"),
            "cache-dir": str(store / "server"),
            "class-names-file": str(parts[0].parent / "class-names.txt"),
        }
        names = {name.replace("_", "-"): value for name, value in settings.items()}
        own = [
            {"data-path": str(folder), "name": folder.name, "cache-dir": str(store / folder.name)}
            for folder in (nodes or parts)
        ]
        return run_lightly(SETTINGS | where | names, nodes=own)

    return start


def test_an_export_is_what_the_clients_have(parts):
    rows = [json.loads(line) for folder in parts for line in (folder / "metadata.jsonl").open()]
    train = [row for row in rows if row["split"] == "train"]
    assert len(train) == 72
    assert len({row["id"] for row in rows}) == 108
    holes = sum(("text" not in row) + ("file_name" not in row) for row in train)
    assert holes == 36
    assert all("text" in row and "file_name" in row for row in rows if row["split"] == "test")
    for folder in parts:
        for row in map(json.loads, (folder / "metadata.jsonl").open()):
            assert "file_name" not in row or (folder / row["file_name"]).is_file()


def test_an_export_overwrites_nothing(parts):
    with pytest.raises(DataError, match="not empty"):
        export_parts(None, RunConfig.of(), 2, parts[0].parent)


def test_a_server_without_data_trains_and_evaluates_at_the_nodes(run, tmp_path):
    result, events = run(selection="clients", early_stopping_patience=5)
    assert result["status"] == "completed"
    assert result["scores-from"] == "clients"
    assert set(result["accuracy"]) >= {"complete", "image-only", "text-only"}
    assert result["clients"] == 3
    clients = [event for event in events if event["event"] == "client"]
    assert [event["partition-id"] for event in clients] == [0, 1, 2]
    assert [event["name"] for event in clients] == ["node-0", "node-1", "node-2"]
    assert sum(event["samples"] for event in clients) == 72
    assert all(event.keys() - {"time", "event"} == TOLD for event in clients)
    assert {event["where"] for event in events if event["event"] == "evaluation"} == {"clients"}
    assert not (tmp_path / "out" / "completions").exists()
    text = (tmp_path / "out" / "metrics.jsonl").read_text()
    assert not re.search(r"flora-0-train-\d", text), "no key of a sample may leave a node"


def test_a_round_reads_the_prepared_file_and_opens_no_data(run, parts, store, monkeypatch):
    run(num_server_rounds=1)
    from fedmvp_flwr.client import work as client_work

    def forbidden(*_):
        raise AssertionError("a data set was opened for a round")

    client_work._client_data.cache_clear()
    monkeypatch.setattr(client_work, "node_dataset", forbidden)
    classes_file = str(parts[0].parent / "class-names.txt")
    config = RunConfig.from_run_config(SETTINGS | {"class-names-file": classes_file})
    node = Node(-1, 0, store / "node-0", parts[0], "node-0")
    classes = load_dataset(config.data, store).class_names
    data = client_work.client_data(config, node, classes)
    assert len(data.train) == 24


def test_an_unknown_label_is_refused_before_round_1_and_the_others_go_on(run, parts, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    rows = [json.loads(line) for line in (parts[0] / "metadata.jsonl").open()]
    rows = [row | {"label": "Patient Smith"} for row in rows if "file_name" not in row]
    (bad / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result, events = run([*parts[1:], bad], min_nodes=2)
    assert result["status"] == "completed"
    refused = [event for event in events if event["event"] == "client-refused"]
    assert {event["client"] for event in refused} == {0}, "asked again after a minute, if it lasts"
    assert re.search(r"\d+ x unknown label", refused[0]["reason"])
    assert "Smith" not in json.dumps(events)
    assert all(len(event["clients"]) == 2 for event in events if event["event"] == "round")
    with pytest.raises(DataError, match="all are needed"):
        run([*parts[1:], bad])


def test_other_feature_widths_are_refused_before_round_1(run, monkeypatch):
    from client_app import app as module

    prepare = module.prepare_node

    def wider(config, node, classes):
        data = prepare(config, node, classes)
        if node.name == "node-1":
            widths = {"image": [7, 7], "text": [7, 7]}
            data = replace(data, summary=data.summary.model_copy(update={"widths": widths}))
        return data

    monkeypatch.setattr(module, "prepare_node", wider)
    _, events = run(min_nodes=2, num_server_rounds=1)
    (refused,) = [event for event in events if event["event"] == "client-refused"]
    assert refused["client"] == 1
    assert "widths" in refused["reason"]


def test_nodes_need_class_names_at_the_server(run):
    with pytest.raises(DataError, match="class-names-file"):
        run(class_names_file="")


@pytest.mark.parametrize("work", ["prepare_node", "train", "evaluate_conditions"])
def test_no_error_of_any_kind_tells_of_a_nodes_files(run, monkeypatch, caplog, work, tmp_path):
    from client_app import app as module

    def broken(*_):
        raise OSError("cannot identify image file '/ward-7/smith.png'")

    monkeypatch.setattr(module, work, broken)
    with suppress(FedMVPError):  # a run can do without scores of its nodes
        run(num_server_rounds=1, round_retries=0)
    at_server = [record.getMessage() for record in caplog.records if record.name == "flwr"]
    told = "".join(at_server) + (tmp_path / "out" / "metrics.jsonl").read_text()
    assert "smith" not in told
    assert "ward-7" not in told
    assert "OSError" in told
