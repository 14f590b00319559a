"""`fedmvp compare`."""

import json
import os
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.cli import compare as module
from fedmvp_flwr.cli import main as cli
from fedmvp_flwr.comparison import runner
from fedmvp_flwr.preflight.findings import PreflightReport

TINY = """
methods = ["mask", "fedmvp"]
seeds = [0, 1]
num-clients = 3

[settings]
num-server-rounds = 1
train-samples = 60
test-samples = 40
model-width = 16
missing-pattern = "class"
missing-ratio = 0.4
"""


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Run the command in an empty folder with a sound preflight."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "preflight_apart", lambda config, clients: PreflightReport())

    def run(*arguments):
        return CliRunner().invoke(cli.app, ["compare", *arguments], catch_exceptions=True)

    return run


@pytest.fixture
def ran(monkeypatch, write_result):
    """Every run is completed at once, FedMVP's with a better score."""
    seen = []

    def run_all(experiment, configs, app, jobs, show):
        seen.append((experiment, configs, app, jobs))
        for cell in experiment.cells:
            write_result(configs[cell.name], 0.75 if cell.method == "fedmvp" else 0.5)
        return runner.Progress(len(experiment.cells), done=[c.name for c in experiment.cells])

    monkeypatch.setattr(module, "run_all", run_all)
    return seen


@pytest.fixture
def write_result():
    def write(config, accuracy):
        folder = Path(config.run.out_dir)
        folder.mkdir(parents=True, exist_ok=True)
        result = {
            "status": "completed",
            "config": config.to_run_config(),
            "accuracy": {"complete": accuracy},
            "seconds": {"total": 1.0},
        }
        (folder / "result.json").write_text(json.dumps(result))
        (folder / "metrics.jsonl").touch()

    return write


def test_without_a_file_it_answers_whether_completion_is_worth_it(call, ran, tmp_path):
    result = call("-c", "missing-ratio=0.6", "--seeds", "0 1", "--jobs", "2", "--out", "here")
    assert result.exit_code == 0, result.output
    assert "Completion is worth it here" in result.output
    (experiment, configs, _, jobs) = ran[0]
    assert experiment.methods == list(module.QUESTION)
    assert jobs == 2
    assert {config.run.seed for config in configs.values()} == {0, 1}
    ratios = {c.missing.missing_ratio for n, c in configs.items() if "nothing" not in n}
    assert ratios == {0.6}
    written = {path.name for path in (tmp_path / "here").iterdir() if path.is_file()}
    assert written >= {"table.json", "table.csv", "table.parquet", "table.md", "report.html"}


def test_real_holes_have_no_upper_bound(call, ran):
    call("-c", "missing-pattern='real'", "--seeds", "0", "--out", "here")
    assert ran[0][0].methods == ["mask", "mask-tuned", "fedmvp"]


def test_a_file_and_its_overrides(call, ran, tmp_path):
    (tmp_path / "e.toml").write_text(TINY)
    arguments = ("--methods", "fedmvp", "--methods", "drop", "--num-clients", "4", "--out", "here")
    assert call("e.toml", "-c", "model-width=32", *arguments).exit_code == 0
    experiment, configs, _, jobs = ran[0]
    assert (experiment.methods, experiment.clients) == (["fedmvp", "drop"], 4)
    assert {config.training.model_width for config in configs.values()} == {32}
    assert jobs == os.cpu_count()


def test_a_run_of_other_settings_is_refused_before_anything_starts(call, ran):
    assert call("-c", "local-epochs=1", "--seeds", "0", "--out", "here").exit_code == 0
    result = call("-c", "local-epochs=3", "--seeds", "0", "--out", "here")
    assert isinstance(result.exception, ConfigError)
    assert "local-epochs = 1, now 3" in str(result.exception)
    assert len(ran) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--methods", "fedmpv"), "did you mean 'fedmvp'"),
        (("--seeds", "one"), "--seeds: expected whole numbers"),
        (("--path", "data"), "--path data: expected NAME=PATH"),
        (("-c", "alhpa=1"), "alhpa"),
        (("none.toml",), "cannot be read"),
    ],
)
def test_wrong_input_is_named(call, ran, arguments, message):
    result = call(*arguments, "--out", "here")
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
    assert ran == []


def test_what_the_preflight_finds_is_told_and_nothing_starts(call, ran, monkeypatch):
    report = PreflightReport()
    report.problems.append("no such folder")
    monkeypatch.setattr(module, "preflight_apart", lambda config, clients: report)
    result = call("--methods", "mask", "--out", "here")
    assert result.exit_code == 1
    assert "mask: no such folder" in result.output
    assert ran == []


def test_many_runs_are_asked_about(call, ran):
    seeds = " ".join(map(str, range(501)))
    arguments = ("--methods", "mask fedmvp", "--seeds", seeds, "--out", "here")
    result = CliRunner().invoke(cli.app, ["compare", *arguments], input="n\n")
    assert "1,002 runs" in result.output
    assert ran == []


def test_failed_runs_are_named_and_the_rest_is_written(call, monkeypatch, write_result, tmp_path):
    def run_all(experiment, configs, app, jobs, show):
        good, bad = experiment.cells
        write_result(configs[good.name], 0.5)
        return runner.Progress(2, done=[good.name], failed={bad.name: "the disk is full"})

    monkeypatch.setattr(module, "run_all", run_all)
    result = call("--methods", "mask fedmvp", "--seeds", "0", "--out", "here")
    assert result.exit_code == 1
    assert "the disk is full" in result.output
    assert (tmp_path / "here" / "table.json").is_file()


@pytest.mark.slow
def test_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e.toml").write_text(TINY)
    arguments = ["compare", "e.toml", "--cache", str(tmp_path / "cache"), "--out", "here"]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    table = json.loads((tmp_path / "here" / "table.json").read_text())
    accuracy = table["methods"]["fedmvp"]["accuracy"]
    assert {len(values) for values in accuracy.values()} == {2}
    assert {"complete", "image-only", "text-only", "unseen-image", "unseen-text"} <= set(accuracy)
    assert all(size > 0 for size in table["methods"]["mask"]["bytes"])
    assert table["differences"]["mask"]["complete"]["low"] <= 1
    page = (tmp_path / "here" / "report.html").read_text(encoding="utf-8")
    assert re.search(r"Completion|runs cannot tell", page)
    again = CliRunner().invoke(cli.app, arguments)
    assert "4 runs are there already" in again.output
    assert json.loads((tmp_path / "here" / "table.json").read_text()) == table
