"""What a run leaves behind when it ends, also where it cannot write all of it."""

import json
import sys
import types

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import ReportError
from fedmvp_flwr.base.jsonl import read_events
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.server import journal as module
from fedmvp_flwr.server.journal import Journal


@pytest.fixture
def reports(monkeypatch):
    """Folders that a report was asked for."""
    asked = []
    monkeypatch.setattr(module, "write_report_if_available", asked.append)
    return asked


def full(*_, **__):
    raise OSError(28, "No space left on device")


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


def test_a_failure_leaves_event_result_and_report(tmp_path, reports):
    Journal(RunConfig.of(), RunFolder(tmp_path)).fail(RuntimeError("power cut"))
    (event,) = read_events(tmp_path / "metrics.jsonl")
    assert (event["event"], event["status"], event["reason"]) == ("run-end", "failed", "power cut")
    assert (result_of(tmp_path)["status"], result_of(tmp_path)["reason"]) == ("failed", "power cut")
    assert reports == [tmp_path]


def test_an_event_that_cannot_be_written_does_not_cost_the_result(tmp_path, reports, monkeypatch):
    journal = Journal(RunConfig.of(), RunFolder(tmp_path))
    monkeypatch.setattr(journal._sinks[0], "write", full)
    journal.fail(RuntimeError("power cut"))
    assert result_of(tmp_path)["reason"] == "power cut"
    assert reports == [tmp_path]


def test_nothing_of_a_failure_hides_it(tmp_path, monkeypatch):
    journal = Journal(RunConfig.of(), RunFolder(tmp_path))
    monkeypatch.setattr(journal._sinks[0], "write", full)
    monkeypatch.setattr(module, "write_json", full)
    monkeypatch.setattr(module, "write_report_if_available", full)
    journal.fail(RuntimeError("power cut"))
    assert not (tmp_path / "result.json").exists()


def test_a_report_that_cannot_be_written_does_not_cost_a_completed_run(tmp_path, monkeypatch):
    def refuse(folder):
        raise ReportError("no")

    monkeypatch.setattr(module, "write_report_if_available", refuse)
    Journal(RunConfig.of(), RunFolder(tmp_path)).finish({"rounds": 3})
    assert (result_of(tmp_path)["status"], result_of(tmp_path)["rounds"]) == ("completed", 3)


def test_tensorboards_curves_are_drawn_anew_from_the_events(tmp_path, monkeypatch):
    points = []

    class SummaryWriter:
        def __init__(self, folder):
            assert folder == str(tmp_path / "tensorboard")
            assert not list(tmp_path.glob("tensorboard/events*"))

        def add_scalar(self, tag, value, step):
            points.append((tag, value, step))

        def close(self):
            pass

    stand_in = types.ModuleType("torch.utils.tensorboard")
    stand_in.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    kept = [{"event": "round", "round": n, "train": {"loss": 1.0 / n}} for n in (1, 2)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in kept))
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events.out.tfevents.1.host.2.0").write_text("rounds 1 to 3")
    (tmp_path / "tensorboard" / "notes.txt").write_text("the user's")
    journal = Journal(RunConfig.of(tensorboard=True), RunFolder(tmp_path))
    journal.event("round", {"round": 3, "train": {"loss": 0.25}})
    losses = [(step, value) for tag, value, step in points if tag == "train/loss"]
    assert losses == [(1, 1.0), (2, 0.5), (3, 0.25)]
    assert [p.name for p in (tmp_path / "tensorboard").iterdir()] == ["notes.txt"]
