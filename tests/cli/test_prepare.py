"""`fedmvp complete`."""

import types
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fedmvp_flwr.cli import main as cli
from fedmvp_flwr.cli.console import ExitCode

REPOSITORY = Path(__file__).resolve().parents[2]


def test_complete_shows_its_summary(preparation: types.ModuleType) -> None:
    arguments = ["complete", "--app", str(REPOSITORY), "--num-clients", "5"]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    assert result.output.split() == ["made", "5", "reused", "4"]


def test_a_node_is_prepared_under_the_name_that_a_run_finds_it_by(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fedmvp: Any,
) -> None:
    arguments = ["complete", "--app", str(REPOSITORY), "--node", f'data-path="{tmp_path}"']
    assert fedmvp(*arguments) == ExitCode.WRONG_CONFIG
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
