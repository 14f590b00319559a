"""`fedmvp quality`."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fedmvp_flwr.cli import main as cli
from fedmvp_flwr.cli.console import ExitCode

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.slow
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
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fedmvp: Any,
) -> None:
    arguments = ["quality", "--app", str(REPOSITORY), "--split", "absent"]
    arguments += ["-c", "train-samples=30 test-samples=12", "--cache", str(tmp_path)]
    assert fedmvp(*arguments) == ExitCode.FAILED
    assert "--split absent" in capsys.readouterr().err.replace("\n", " ")
