import os
import sys
from pathlib import Path

import pytest

from fedmvp_flwr.base.errors import SimulationError
from fedmvp_flwr.simulation import environment
from fedmvp_flwr.simulation.environment import open_workspace


def test_workspace_is_isolated_and_disappears(
    fake_flower: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLWR_HOME", "/elsewhere")
    monkeypatch.setenv("FLWR_DATABASE", "/elsewhere.db")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setenv("NO_PROXY", "example.org")
    with open_workspace() as one, open_workspace() as two:
        assert one.port != two.port
        assert one.mark != two.mark
        assert one.env["FLWR_HOME"] == str(one.root / "flwr")
        assert "FLWR_DATABASE" not in one.env
        assert one.env["RAY_ADDRESS"] == "local"
        assert one.env["NO_PROXY"] == "example.org,127.0.0.1,localhost"
        assert one.env["PATH"].split(os.pathsep)[0] == str(fake_flower)
        assert one.env["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] == "1"
        assert list(one.neutral.iterdir()) == []
        assert f"127.0.0.1:{one.port}" in (one.root / "flwr" / "config.toml").read_text()
    assert not one.root.exists()
    assert not two.root.exists()


def test_sockets_of_ray_fit_below_the_folder(
    fake_flower: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment.tempfile, "tempdir", str(tmp_path / ("x" * 60)))
    with open_workspace() as workspace:
        session = "ray/session_2026-01-01_00-00-00_000000_1234567"
        assert len(str(workspace.root / session / "sockets" / "plasma_store")) <= 103


def test_a_given_port_is_taken_as_it_is(fake_flower: Path) -> None:
    with open_workspace(4321) as workspace:
        assert workspace.port == 4321


def test_programs_come_from_the_running_interpreter() -> None:
    assert environment.find_programs() == Path(sys.executable).parent


def test_missing_ray_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SimulationError, match=r"Ray is not installed.*simulation"):
        environment.find_programs()


def test_missing_flower_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(environment.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(SimulationError, match=r"No Flower programs.*simulation"):
        environment.find_programs()
