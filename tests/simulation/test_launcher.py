import json
import socket
from pathlib import Path
from typing import Any

import pytest

from fedmvp_flwr.base.errors import ConfigError, SimulationError
from fedmvp_flwr.simulation import SimulationOutcome, launcher, run_simulation
from fedmvp_flwr.simulation.launcher import find_own_errors


@pytest.fixture
def events() -> list[dict[str, Any]]:
    return []


def _run(app: Path, out: Path, **changes: Any) -> SimulationOutcome:
    arguments: dict[str, Any] = {"run_config": {}, "num_clients": 3, "out": out}
    return run_simulation(app, **(arguments | changes))


def test_a_completed_run(
    toy_app: Path,
    fake_flower: Path,
    tmp_path: Path,
    events: list[dict[str, Any]],
    left_running: Any,
) -> None:
    lines: list[str] = []
    out = tmp_path / "new" / "out"
    outcome = _run(
        toy_app,
        out,
        run_config={"note": "it's"},
        num_gpus=0.5,
        on_event=events.append,
        on_log=lines.append,
    )
    assert outcome == SimulationOutcome("", "7", out)
    steps = [event.get("step", event["event"]) for event in events]
    assert steps == ["superlink", "submit", "running", "round", "stopping"]
    assert lines == ["INFO : hello"]
    assert (out / "run.log").read_text() == "INFO : hello\n"
    argv = json.loads((out / "argv.json").read_text())
    assert argv[1:3] == ["run", str(toy_app)]
    assert argv[argv.index("--federation-config") + 1] == (
        "num-supernodes=3 client-resources-num-cpus=1 client-resources-num-gpus=0.5"
    )
    assert left_running() == []


@pytest.mark.parametrize(
    ("behaviour", "details"),
    [
        ("fail", "no such flower"),
        ("heartbeat", "its process died"),
        ("no-result", "without a result.json"),
    ],
)
def test_a_failed_run_says_why(
    toy_app: Path,
    fake_flower: Path,
    tmp_path: Path,
    behaviour: str,
    details: str,
    left_running: Any,
) -> None:
    outcome = _run(toy_app, tmp_path / "out", run_config={"behaviour": behaviour})
    assert details in outcome.problem
    assert left_running() == []


def test_an_old_result_is_no_success(toy_app: Path, fake_flower: Path, tmp_path: Path) -> None:
    assert _run(toy_app, tmp_path / "out").problem == ""
    again = _run(toy_app, tmp_path / "out", run_config={"behaviour": "no-result"})
    assert again.problem


def test_a_refused_run_raises(
    toy_app: Path, fake_flower: Path, tmp_path: Path, left_running: Any
) -> None:
    with pytest.raises(SimulationError, match="the app is broken"):
        _run(toy_app, tmp_path / "out", run_config={"behaviour": "refuse"})
    assert left_running() == []


def test_an_interrupt_leaves_nothing(
    toy_app: Path, fake_flower: Path, tmp_path: Path, left_running: Any
) -> None:
    def interrupt(event: dict[str, Any]) -> None:
        if event["event"] == "round":
            assert left_running()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(toy_app, tmp_path / "out", run_config={"behaviour": "hang"}, on_event=interrupt)
    assert left_running() == []


def test_a_superlink_that_dies_is_noticed(
    toy_app: Path, fake_flower: Path, tmp_path: Path, left_running: Any
) -> None:
    path = fake_flower / "flower-superlink"
    path.write_text(path.read_text().replace("time.sleep(600)", "time.sleep(2)"))
    with pytest.raises(SimulationError, match="in the middle of the run"):
        _run(toy_app, tmp_path / "out", run_config={"behaviour": "hang"})
    assert left_running() == []


def test_a_lost_race_for_a_port_is_tried_again(
    toy_app: Path, fake_flower: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedmvp_flwr.simulation import environment

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        ports = [other.getsockname()[1], environment.free_port()]
        monkeypatch.setattr(environment, "free_port", lambda: ports.pop(0))
        assert _run(toy_app, tmp_path / "out").problem == ""
    assert ports == []


def test_a_given_port_that_is_taken(toy_app: Path, fake_flower: Path, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SimulationError, match=f"Port {port} is taken.*--port"):
            _run(toy_app, tmp_path / "out", port=port)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_cpus": 100_000}, "--num-cpus"),
        ({"run_config": {"behavior": "ok"}}, "did you mean 'behaviour'"),
    ],
)
def test_bad_input_starts_nothing(
    toy_app: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        _run(toy_app, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_settings_of_our_own_app_are_checked(own_app: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="batch-size=0"):
        _run(own_app, tmp_path / "out", run_config={"batch-size": 0})
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_written(toy_app: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"Cannot write.*--out"):
        _run(toy_app, tmp_path / "file" / "out")


def test_one_simulation_at_a_time_in_a_folder(
    toy_app: Path, fake_flower: Path, tmp_path: Path
) -> None:
    problems: list[str] = []

    def start_another(event: dict[str, Any]) -> None:
        if event.get("step") == "submit":
            with pytest.raises(ConfigError) as error:
                _run(toy_app, tmp_path / "out")
            problems.append(str(error.value))

    assert _run(toy_app, tmp_path / "out", on_event=start_another).problem == ""
    assert len(problems) == 1
    assert "Another simulation" in problems[0]


def test_an_app_without_out_dir_needs_no_result(
    toy_app: Path, fake_flower: Path, tmp_path: Path
) -> None:
    text = (toy_app / "pyproject.toml").read_text()
    (toy_app / "pyproject.toml").write_text(text.replace('out-dir = ""\n', ""))
    flwr = fake_flower / "flwr"
    flwr.write_text(flwr.read_text().replace('config["out-dir"]', f'"{tmp_path}"'))
    outcome = _run(toy_app, tmp_path / "out", run_config={"behaviour": "no-result"})
    assert not outcome.problem


def test_own_errors_are_found_once_each() -> None:
    log = "INFO\nERROR : FedMVP error: one\nx FedMVP error: two [repeated 3x across cluster] (..)\n"
    assert find_own_errors(log + log) == ["one", "two"]


@pytest.fixture
def own_app(toy_app: Path) -> Path:
    """An app that ships the library, with its run-config."""
    (toy_app / "fedmvp_flwr").mkdir()
    (toy_app / "fedmvp_flwr" / "__init__.py").touch()
    project = toy_app / "pyproject.toml"
    head, _, _ = project.read_text().partition("num-server-rounds")
    project.write_text(f'{head}out-dir = ""\nresume = ""\nbatch-size = 32\n')
    return toy_app


def _interrupted(out: Path) -> list[str]:
    names = ["checkpoints/round-00003.safetensors", "metrics.jsonl", "model.safetensors"]
    (out / "checkpoints").mkdir(parents=True)
    for name in names:
        (out / name).write_text("{}")
    return names


def _files(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What is in the folder of the results when Flower would be started."""
    found: list[str] = []

    def look(self: launcher._Session, *arguments: Any) -> SimulationOutcome:
        found.extend(_files(self.folder.path))
        return SimulationOutcome("", "7", self.folder.path)

    monkeypatch.setattr(launcher._Session, "run", look)
    return found


def test_a_run_that_can_be_gone_on_with_is_not_overwritten(
    own_app: Path, fake_flower: Path, tmp_path: Path, left: list[str]
) -> None:
    names = _interrupted(tmp_path / "out")
    with pytest.raises(ConfigError, match="--resume"):
        _run(own_app, tmp_path / "out")
    assert _files(tmp_path / "out") == names
    _run(own_app, tmp_path / "out", run_config={"resume": str(tmp_path / "out")})
    assert left == [*names, "run.log"]


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_completed_run_goes_unless_it_is_gone_on_with(
    own_app: Path, fake_flower: Path, tmp_path: Path, left: list[str], goes_on: bool
) -> None:
    out = tmp_path / "out"
    names = _interrupted(out)
    (out / "result.json").write_text('{"status": "completed"}')
    _run(own_app, out, run_config={"resume": str(out) if goes_on else ""})
    assert left == [*(names if goes_on else []), "run.log"]


def test_of_another_app_nothing_goes_but_events_and_result(
    toy_app: Path, fake_flower: Path, tmp_path: Path, left: list[str]
) -> None:
    names = _interrupted(tmp_path / "out")
    (tmp_path / "out" / "result.json").write_text("{}")
    _run(toy_app, tmp_path / "out")
    assert left == [names[0], names[2], "run.log"]
