"""`fedmvp simulate`, with a launcher that does nothing."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fedmvp_flwr.cli import main as cli
from fedmvp_flwr.cli import simulate
from fedmvp_flwr.cli.console import ExitCode
from fedmvp_flwr.preflight.findings import PreflightReport
from fedmvp_flwr.simulation import SimulationOutcome

REPOSITORY = Path(__file__).resolve().parents[2]


def test_options_reach_the_launcher(calls: Any, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("seed = 3\n")
    arguments = ["simulate", "--app", str(REPOSITORY), "--num-clients", "4", "--num-cpus", "2"]
    arguments += ["--num-gpus", "0.25", "--out", str(tmp_path / "out"), "--port", "1234"]
    arguments += ["--cache", "store", "-c", str(tmp_path / "run.toml"), "-c", "method='fedavg'"]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    ((app, given),) = calls
    assert app == REPOSITORY
    assert given["run_config"] == {"seed": 3, "method": "fedavg", "cache-dir": "store"}
    names = ("num_clients", "num_cpus", "num_gpus", "port", "out")
    assert [given[name] for name in names] == [4, 2, 0.25, 1234, tmp_path / "out"]
    assert "round 1" in result.output


def test_simulate_starts_nothing_where_the_preflight_finds_something(
    calls: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def check(config: Any, clients: int) -> PreflightReport:
        asked.append((config.run.seed, config.run.out_dir, clients))
        return PreflightReport(problems=["no model", "no [data]"])

    monkeypatch.setattr(simulate, "preflight_apart", check)
    arguments = ["simulate", "--app", str(REPOSITORY), "--num-clients", "4", "-c", "seed=3"]
    arguments += ["--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == ExitCode.FAILED
    assert calls == []
    assert asked == [(3, str(tmp_path / "out"), 4)]
    for part in ("2 problem(s)", "- no model", "- no [data]"):
        assert part in result.output
    assert CliRunner().invoke(cli.app, [*arguments, "--no-preflight"]).exit_code == 0
    assert len(calls) == len(asked) == 1


def test_simulate_tells_in_short_what_the_run_works_with(
    calls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"samples": 9, "complete": 4, "image missing": 2, "text missing": 3}
    monkeypatch.setattr(
        simulate, "preflight_apart", lambda config, clients: PreflightReport(rows=[row, row])
    )
    arguments = ["simulate", "--app", str(REPOSITORY)]
    shown = CliRunner().invoke(cli.app, arguments).output
    assert "2, with 18 samples: 8 complete pairs (4 to 4 each)" in " ".join(shown.split())
    assert "complete pairs" not in CliRunner().invoke(cli.app, [*arguments, "-q"]).output


def test_resume_takes_settings_and_clients_of_the_run(calls: Any, interrupted: Path) -> None:
    arguments = ["simulate", "--app", str(REPOSITORY), "--resume", str(interrupted)]
    arguments += ["-c", "num-server-rounds=50"]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    ((_, given),) = calls
    config = given["run_config"]
    assert (config["seed"], config["beta"], config["num-server-rounds"]) == (7, 0.25, 50)
    assert config["resume"] == str(interrupted)
    assert config.get("out-dir") is None
    assert (given["num_clients"], given["out"]) == (6, interrupted)


def test_resume_of_a_folder_without_a_run_is_an_error(
    calls: Any,
    tmp_path: Path,
    fedmvp: Any,
) -> None:
    arguments = ["simulate", "--app", str(REPOSITORY), "--resume", str(tmp_path)]
    assert fedmvp(*arguments) == ExitCode.FAILED
    assert calls == []


def test_the_port_may_come_from_flowers_variable(
    calls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLWR_LOCAL_SUPERLINK_HTTP_API_PORT", "4321")
    CliRunner().invoke(cli.app, ["simulate", "--app", str(REPOSITORY)])
    assert calls[0][1]["port"] == 4321


def test_the_default_app_is_the_checkout(
    calls: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli.app, ["simulate", "--quiet"]).exit_code == 0
    assert calls[0][0] == REPOSITORY
    assert calls[0][1]["out"].parent == Path("runs")


def test_quiet_shows_no_rounds(calls: Any) -> None:
    result = CliRunner().invoke(cli.app, ["simulate", "--app", str(REPOSITORY), "--quiet"])
    assert "round" not in result.output


def test_a_failed_run_ends_with_1(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fedmvp: Any,
) -> None:
    outcome = SimulationOutcome("no such flower", "7", tmp_path)
    monkeypatch.setattr(simulate, "run_simulation", lambda *args, **kwargs: outcome)
    monkeypatch.setattr(simulate, "preflight_apart", lambda *_: PreflightReport())
    assert fedmvp("simulate", "--app", str(REPOSITORY)) == 1
    assert "no such flower" in capsys.readouterr().err


def test_an_interrupted_run_ends_with_130(monkeypatch: pytest.MonkeyPatch, fedmvp: Any) -> None:
    def interrupt(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(simulate, "run_simulation", interrupt)
    monkeypatch.setattr(simulate, "preflight_apart", lambda *_: PreflightReport())
    assert fedmvp("simulate", "--app", str(REPOSITORY)) == 130


def test_the_result_is_printed(calls: Any, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"accuracy": {"complete": 0.625}}')
    arguments = ["simulate", "--app", str(REPOSITORY), "--out", str(tmp_path)]
    assert "62.5%" in CliRunner().invoke(cli.app, arguments).output


@pytest.mark.parametrize(
    "option", ["--num-clients=1", "--num-cpus=0", "--num-gpus=-0.5", "--port=70000"]
)
def test_numbers_out_of_range_start_nothing(calls: Any, option: str) -> None:
    result = CliRunner().invoke(cli.app, ["simulate", "--app", str(REPOSITORY), option])
    assert result.exit_code == ExitCode.WRONG_CONFIG
    assert calls == []
