import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fedmvp_flwr.base.errors import ConfigError, DataError
from fedmvp_flwr.cli import main as cli
from fedmvp_flwr.cli import options, simulate
from fedmvp_flwr.cli.console import ExitCode
from fedmvp_flwr.preflight.findings import PreflightReport
from fedmvp_flwr.simulation import SimulationOutcome

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, dict[str, Any]]]:
    """The calls of a launcher that does nothing and reports success."""
    seen: list[tuple[Path, dict[str, Any]]] = []

    def launch(app: Path, **arguments: Any) -> SimulationOutcome:
        seen.append((app, arguments))
        arguments["on_event"]({"event": "round", "round": 1, "train": {"loss": 1.0}})
        return SimulationOutcome("", "7", arguments["out"])

    monkeypatch.setattr(simulate, "run_simulation", launch)
    monkeypatch.setattr(simulate, "preflight_apart", lambda config, clients: PreflightReport())
    return seen


def _main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["fedmvp", *arguments])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    return int(exit_.value.code or 0)


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


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    from fedmvp_flwr.aggregation.checkpoint import CheckpointStore
    from fedmvp_flwr.aggregation.wire import pack
    from fedmvp_flwr.config import RunConfig
    from fedmvp_flwr.server.resume import RunState
    from fedmvp_flwr.server.selection import Selection

    config = RunConfig.of(seed=7, beta=0.25, out_dir="/elsewhere").to_run_config()
    config["a-key-of-another-version"] = 1
    state = RunState(config, [], None, {}, 0.0, 0, "", {}, {}, Selection(), {}, 6, {})
    folder = tmp_path / "night"
    CheckpointStore(folder / "checkpoints").save(3, pack({}, "fp16"), state.to_json())
    return folder


def test_resume_takes_settings_and_clients_of_the_run(calls: Any, interrupted: Path) -> None:
    arguments = ["simulate", "--app", str(REPOSITORY), "--resume", str(interrupted)]
    arguments += ["-c", "num-server-rounds=50"]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    ((_, given),) = calls
    config = given["run_config"]
    assert (config["seed"], config["beta"], config["num-server-rounds"]) == (7, 0.25, 50)
    assert config["resume"] == str(interrupted)
    assert "a-key-of-another-version" not in config
    assert config.get("out-dir") is None
    assert (given["num_clients"], given["out"]) == (6, interrupted)


def test_resume_of_a_folder_without_a_run_is_an_error(
    calls: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["simulate", "--app", str(REPOSITORY), "--resume", str(tmp_path)]
    assert _main(monkeypatch, *arguments) == ExitCode.FAILED
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


def test_without_checkout_the_current_folder_counts(
    calls: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "CHECKOUT", tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    assert _main(monkeypatch, "simulate") == ExitCode.WRONG_CONFIG
    (tmp_path / "pyproject.toml").write_text("[tool.flwr.app.config]\nseed = 1\n")
    assert _main(monkeypatch, "simulate") == 0
    assert calls[0][0] == tmp_path


def test_quiet_shows_no_rounds(calls: Any) -> None:
    result = CliRunner().invoke(cli.app, ["simulate", "--app", str(REPOSITORY), "--quiet"])
    assert "round" not in result.output


def test_a_wrong_key_ends_with_its_nearest_name(
    calls: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = "num-server-round=3 missing-ratio=2"
    code = _main(monkeypatch, "simulate", "--app", str(REPOSITORY), "-c", wrong)
    assert code == ExitCode.WRONG_CONFIG
    error = " ".join(capsys.readouterr().err.split())
    assert "num-server-rounds" in error
    assert "missing-ratio" in error


def test_a_failed_run_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = SimulationOutcome("no such flower", "7", tmp_path)
    monkeypatch.setattr(simulate, "run_simulation", lambda *args, **kwargs: outcome)
    assert _main(monkeypatch, "simulate", "--app", str(REPOSITORY)) == 1
    assert "no such flower" in capsys.readouterr().err


def test_an_interrupted_run_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(simulate, "run_simulation", interrupt)
    assert _main(monkeypatch, "simulate", "--app", str(REPOSITORY)) == 130


def test_the_result_is_printed(calls: Any, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"accuracy": {"complete": 0.625}}')
    arguments = ["simulate", "--app", str(REPOSITORY), "--out", str(tmp_path)]
    assert "62.5%" in CliRunner().invoke(cli.app, arguments).output


@dataclass
class _Report:
    problems: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    work: list[dict[str, Any]] = field(default_factory=list)
    estimates: dict[str, float] = field(default_factory=dict)


@pytest.fixture
def preparation(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A stand-in for the modules that load models and data."""
    module = types.ModuleType("stand_in")

    def prepare_all(config: Any, num_clients: int, progress: Any) -> dict[str, int]:
        progress("captions", 0, 2)
        progress("captions", 2, 2)
        return {"made": num_clients, "reused": 4}

    module.prepare_all = prepare_all
    module.prepare_one = prepare_all

    def preflight(config: Any, num_clients: int, timed: bool) -> _Report:
        work = [{"work": "image features", "all": 9, "left": 4}]
        estimates = {"completion s": 7.5} if timed else {}
        return _Report(rows=[{"client": 0, "samples": 12}], work=work, estimates=estimates)

    module.preflight = preflight
    for name in ("fedmvp_flwr.cli.prepare_clients", "fedmvp_flwr.preflight.checks"):
        monkeypatch.setitem(sys.modules, name, module)
    return module


def test_complete_shows_its_summary(preparation: types.ModuleType) -> None:
    arguments = ["complete", "--app", str(REPOSITORY), "--num-clients", "5"]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    assert result.output.split() == ["made", "5", "reused", "4"]


def test_a_node_is_prepared_under_the_name_that_a_run_finds_it_by(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["complete", "--app", str(REPOSITORY), "--node", f'data-path="{tmp_path}"']
    assert _main(monkeypatch, *arguments) == ExitCode.WRONG_CONFIG
    assert "without name" in capsys.readouterr().err


def test_complete_gets_the_whole_config(
    preparation: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        preparation, "prepare_all", lambda config, *rest: configs.append(config) or {}
    )
    arguments = ["complete", "--app", str(REPOSITORY), "--cache", "store"]
    arguments += ["-c", "missing-ratio=0.5"]
    assert CliRunner().invoke(cli.app, arguments).exit_code == 0
    assert configs[0].missing.missing_ratio == 0.5
    assert configs[0].run.cache_dir == str(tmp_path / "store")


def test_preflight_without_problems(preparation: types.ModuleType) -> None:
    result = CliRunner().invoke(cli.app, ["preflight", "--app", str(REPOSITORY)])
    assert result.exit_code == 0, result.output
    assert "samples" in result.output
    assert "12" in result.output
    assert "completion s: 7.5" in result.output
    result = CliRunner().invoke(cli.app, ["preflight", "--no-time", "--app", str(REPOSITORY)])
    assert "completion s" not in result.output
    assert "see --time" in result.output


def test_preflight_fails_on_problems(
    preparation: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        preparation, "preflight", lambda *args: _Report(problems=["client 3 [of 4] has no pair"])
    )
    result = CliRunner().invoke(cli.app, ["preflight", "--app", str(REPOSITORY)])
    assert result.exit_code == 1
    assert "client 3 [of 4] has no pair" in result.output


@pytest.mark.parametrize(
    ("error", "code"), [(ConfigError("bad"), 2), (DataError("no complete pair"), 1)]
)
def test_own_errors_are_panels_without_traceback(
    preparation: types.ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
) -> None:
    def fail(*args: Any) -> None:
        raise error

    monkeypatch.setattr(preparation, "prepare_all", fail)
    assert _main(monkeypatch, "complete", "--app", str(REPOSITORY)) == code
    shown = capsys.readouterr().err
    assert str(error) in shown
    assert "Traceback" not in shown


def test_report_names_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = types.ModuleType("fedmvp_flwr.reporting")
    module.write_report = lambda folder: folder / "report.html"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    result = CliRunner().invoke(cli.app, ["report", str(tmp_path)])
    assert result.output.strip() == str(tmp_path / "report.html")


def test_quality_measures_and_writes_its_files(tmp_path: Path) -> None:
    settings = "train-samples=30 test-samples=12 completion='retrieval' quality-gate=0.2"
    arguments = ["quality", "--app", str(REPOSITORY), "--samples", "8", "-c", settings]
    arguments += ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "report")]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    assert "rouge-l" in result.output
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "quality.html",
        "quality.json",
    ]


def test_quality_names_what_it_cannot_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["quality", "--app", str(REPOSITORY), "--split", "absent"]
    arguments += ["-c", "train-samples=30 test-samples=12", "--cache", str(tmp_path)]
    assert _main(monkeypatch, *arguments) == ExitCode.FAILED
    assert "--split absent" in capsys.readouterr().err.replace("\n", " ")


def test_pretrain_passes_its_options_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from fedmvp_flwr.pretraining import pretrain as pretraining

    seen: list[tuple[Any, Any]] = []

    def make(config: Any, settings: Any, on_progress: Any) -> dict[str, Any]:
        seen.append((config, settings))
        return {"figures": {"encoder": {"image-to-text-r5": 0.25, "examples": ["no number"]}}}

    monkeypatch.setattr(pretraining, "pretrain", make)
    arguments = ["pretrain", "--app", str(REPOSITORY), "--data", f"folder:{tmp_path}"]
    arguments += ["--split", "open", "--out", str(tmp_path / "own"), "--steps", "7", "--seed", "3"]
    arguments += ["--image-size", "32", "--width", "64", "--minutes", "2", "--use-labels"]
    arguments += ["-c", "text-column='caption'"]
    assert _main(monkeypatch, *arguments) == 0
    ((config, settings),) = seen
    assert (config.data.dataset, config.data.text_column) == (f"folder:{tmp_path}", "caption")
    assert (settings.split, settings.steps, settings.seed, settings.minutes) == ("open", 7, 3, 2)
    assert (settings.shape.image_size, settings.shape.width, settings.use_labels) == (32, 64, True)
    printed = capsys.readouterr().out
    assert "0.25" in printed
    assert f"captioner='transformers:local:{tmp_path}/own/captioner'" in printed


def test_pretrain_refuses_a_shape_that_does_not_fit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["pretrain", "--app", str(REPOSITORY), "--data", "flora", "--out", str(tmp_path)]
    code = _main(monkeypatch, *arguments, "--image-size", "50")
    assert code == ExitCode.WRONG_CONFIG
    assert "image_size=50" in capsys.readouterr().err
