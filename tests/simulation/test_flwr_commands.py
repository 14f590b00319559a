"""Flower's command line, in whose place a script answers."""

import io
import json
import os
import sys
from types import SimpleNamespace

import pytest

from fedmvp_flwr.base.errors import SimulationError
from fedmvp_flwr.simulation import flwr_commands
from fedmvp_flwr.simulation.flwr_commands import LogStream, RunStatus, run_status, submit_run


@pytest.fixture
def workspace(tmp_path):
    """A workspace whose `flwr` is a Python script; `asked` are the arguments that it got."""

    def make(script):
        asked = []

        def command(name, *arguments):
            asked.append((name, *arguments))
            return [sys.executable, "-c", script]

        return SimpleNamespace(command=command, neutral=tmp_path, env=dict(os.environ), asked=asked)

    return make


def saying(**answer):
    return f"print({json.dumps(answer)!r})"


def test_a_run_is_submitted_with_its_settings(workspace, tmp_path):
    place = workspace(saying(success=True, **{"run-id": 77}))
    run_id = submit_run(place, tmp_path, tmp_path / "o.toml", {"num-supernodes": 3, "gpus": 0.5})
    assert run_id == "77"
    (asked,) = place.asked
    assert asked[:3] == ("flwr", "run", str(tmp_path))
    assert asked[-1] == "num-supernodes=3 gpus=0.5"
    assert str(tmp_path / "o.toml") in asked


@pytest.mark.parametrize(("status", "finished"), [("running", False), ("finished:failed", True)])
def test_the_status_is_what_flower_lists(workspace, status, finished):
    run = {"status": status, "status-details": None}
    found = run_status(workspace(saying(success=True, runs=[run])), "77")
    assert found == RunStatus(status, "")
    assert found.finished == finished


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (saying(success=False, **{"error-message": "no such app"}), "no such app"),
        ("import sys; sys.exit('a \\x1b[31mred\\x1b[0m traceback')", "a red traceback"),
        ("print('no JSON')", "no JSON"),
    ],
)
def test_a_refusal_says_why(workspace, script, reason):
    with pytest.raises(SimulationError, match=rf"`flwr list` was refused: {reason}"):
        run_status(workspace(script), "77")


def test_silence_has_an_end(workspace, monkeypatch):
    monkeypatch.setattr(flwr_commands, "_COMMAND_TIMEOUT", 0.2)
    with pytest.raises(SimulationError, match="gave no answer"):
        run_status(workspace("import time; time.sleep(60)"), "77")


def test_the_log_comes_line_by_line_without_colours(workspace):
    log, lines = io.StringIO(), []
    stream = LogStream(workspace(r"print('\x1b[32mone\x1b[0m\ntwo')"), "77", log, lines.append)
    stream.close(timeout=30)
    assert stream.ended
    assert lines == ["one", "two"]
    assert log.getvalue() == "one\ntwo\n"


def test_a_stream_can_be_ended(workspace):
    script = "import time; print('first', flush=True); time.sleep(600)"
    stream = LogStream(workspace(script), "77", io.StringIO(), lambda line: None)
    assert not stream.ended
    stream.close()
    assert stream.ended
