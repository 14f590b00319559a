"""`fedmvp report`."""

import sys
import types
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedmvp_flwr.cli import main as cli

REPOSITORY = Path(__file__).resolve().parents[2]


def test_report_names_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = types.ModuleType("fedmvp_flwr.reporting")
    module.write_report = lambda folder: folder / "report.html"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    result = CliRunner().invoke(cli.app, ["report", str(tmp_path)])
    assert result.output.strip() == str(tmp_path / "report.html")
