import json

import pytest
from flwr.app import Context, RecordDict

from fedmvp_flwr.base.errors import ConfigError, DataError
from fedmvp_flwr.base.jsonl import read_events
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.preflight.findings import PreflightReport
from fedmvp_flwr.server.patient_grid import PatientGrid
from fedmvp_flwr.simulation.in_process import InProcessGrid
from server_app import app as module
from server_app.app import app


@pytest.fixture(autouse=True)
def _no_preflight(monkeypatch, light_runs):
    monkeypatch.setattr("server_app.run.preflight", lambda config, clients: PreflightReport())


@pytest.fixture
def start(tmp_path):
    """Start the ServerApp without any node, with results in a folder of the test."""

    def run(**settings):
        values = {"out-dir": str(tmp_path / "out")} | settings
        app(InProcessGrid(None, {}, []), Context(7, 0, {}, RecordDict(), values))

    return run


def test_a_run_is_executed_with_patience(start, monkeypatch, tmp_path):
    executed = []
    monkeypatch.setattr(module, "execute", lambda run, grid: executed.append((run, grid)))
    start()
    ((run, grid),) = executed
    assert run.folder.path == tmp_path / "out"
    assert isinstance(grid, PatientGrid)


@pytest.mark.parametrize("error", [DataError("too few nodes"), KeyError("a bug")], ids=repr)
def test_whatever_ends_a_run_is_its_result_and_fails_the_run_of_flower(
    start, monkeypatch, tmp_path, caplog, error
):
    def fail(run, grid):
        raise error

    monkeypatch.setattr(module, "execute", fail)
    with pytest.raises(type(error)):
        start()
    folder = RunFolder(tmp_path / "out")
    result = json.loads(folder.result.read_text())
    assert (result["status"], result["reason"]) == ("failed", str(error))
    assert read_events(folder.metrics)[-1]["event"] == "run-end"
    assert f"FedMVP error: {error}" in caplog.text


def test_wrong_settings_are_said_and_leave_no_folder(start, tmp_path, caplog):
    with pytest.raises(ConfigError, match="did you mean 'seed'"):
        start(sed=1)
    assert "FedMVP error: Wrong run-config" in caplog.text
    assert not (tmp_path / "out").exists()
