"""`fedmvp preflight`."""

import types
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedmvp_flwr.cli import main as cli
from fedmvp_flwr.preflight.findings import PreflightReport

REPOSITORY = Path(__file__).resolve().parents[2]


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
    report = PreflightReport(problems=["client 3 [of 4] has no pair"])
    monkeypatch.setattr(preparation, "preflight", lambda *args: report)
    result = CliRunner().invoke(cli.app, ["preflight", "--app", str(REPOSITORY)])
    assert result.exit_code == 1
    assert "client 3 [of 4] has no pair" in result.output
