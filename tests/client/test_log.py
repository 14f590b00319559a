import json

import pytest

from fedmvp_flwr.client import log as node_log
from fedmvp_flwr.client.log import node_event
from fedmvp_flwr.config.node import Node


@pytest.fixture
def node(tmp_path):
    return Node(-1, 0, tmp_path / "cache", tmp_path, "north")


def lines(node):
    return [json.loads(line) for line in (node.cache_dir / "events.jsonl").read_text().splitlines()]


def test_each_message_leaves_a_line(node):
    with node_event(node, "train") as event:
        event["round"] = 3
    with node_event(node, "evaluate"):
        pass
    first, second = lines(node)
    assert (first["event"], first["node"], first["round"]) == ("train", "north", 3)
    assert first["seconds"] >= 0
    assert "time" in first
    assert second["event"] == "evaluate"


def test_an_error_is_named_without_its_text(node):
    with pytest.raises(ValueError, match="Smith"), node_event(node, "prepare"):
        raise ValueError("the scan of Smith is broken")
    assert lines(node)[0]["error"] == "ValueError"
    assert "Smith" not in (node.cache_dir / "events.jsonl").read_text()


def test_simulated_clients_keep_no_log(tmp_path):
    with node_event(Node(0, 2, tmp_path / "cache"), "train"):
        pass
    assert not (tmp_path / "cache").exists()


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with node_event(Node(-1, 0, tmp_path / "file", tmp_path), "train") as event:
        event["round"] = 1


def test_a_long_log_is_begun_anew(node, monkeypatch):
    monkeypatch.setattr(node_log, "_LARGEST", 10)
    for _ in range(3):
        with node_event(node, "train"):
            pass
    names = sorted(path.name for path in node.cache_dir.iterdir())
    assert names == ["events.1.jsonl", "events.jsonl"]
    assert len(lines(node)) == 1
