import subprocess
from pathlib import Path

import pytest

from fedmvp_flwr.base.errors import SimulationError
from fedmvp_flwr.simulation import superlink
from fedmvp_flwr.simulation.environment import open_workspace
from fedmvp_flwr.simulation.processes import find_marked
from fedmvp_flwr.simulation.superlink import PortTakenError, running_superlink


def test_everything_is_ended_on_the_way_out(fake_flower: Path, tmp_path: Path) -> None:
    with open_workspace() as workspace:
        with running_superlink(workspace, tmp_path / "log") as process:
            assert process.poll() is None
            assert len(find_marked(workspace.mark)) == 2
        assert find_marked(workspace.mark) == []
        assert process.returncode is not None


def test_everything_is_ended_after_an_interrupt(fake_flower: Path, tmp_path: Path) -> None:
    with open_workspace() as workspace:
        with pytest.raises(KeyboardInterrupt), running_superlink(workspace, tmp_path / "log"):
            raise KeyboardInterrupt
        assert find_marked(workspace.mark) == []


def test_another_program_was_faster(fake_flower: Path, tmp_path: Path) -> None:
    with (
        open_workspace() as workspace,
        running_superlink(workspace, tmp_path / "one"),
        pytest.raises(PortTakenError),
        running_superlink(workspace, tmp_path / "two"),
    ):
        pass


def test_a_superlink_that_fails_shows_its_words(fake_flower: Path, tmp_path: Path) -> None:
    (fake_flower / "flower-superlink").write_text("#!/bin/sh\necho broken installation\nexit 3\n")
    with (
        open_workspace() as workspace,
        pytest.raises(SimulationError, match=r"(?s)code 3.*broken installation"),
        running_superlink(workspace, tmp_path / "log"),
    ):
        pass


def test_a_silent_superlink_is_not_awaited_for_ever(
    fake_flower: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(superlink, "START_TIMEOUT", 0.3)
    (fake_flower / "flower-superlink").write_text("#!/bin/sh\nexec sleep 600\n")
    with (
        open_workspace() as workspace,
        pytest.raises(SimulationError, match="was not ready"),
        running_superlink(workspace, tmp_path / "log"),
    ):
        pass
    assert find_marked(workspace.mark) == []


def test_the_real_program_knows_the_options(tmp_path: Path) -> None:
    # Without starting it: a renamed option would fail every simulation.
    with open_workspace() as workspace:
        usage = subprocess.run(
            workspace.command("flower-superlink", "--help"),
            env=workspace.env,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    for option in ("--insecure", "--simulation", "--isolation", "--host", "--port"):
        assert option in usage
