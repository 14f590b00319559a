"""Words of the command that hold for all of its parts."""

import types
from pathlib import Path
from typing import Any

import pytest

from fedmvp_flwr.base.errors import ConfigError, DataError
from fedmvp_flwr.cli import options
from fedmvp_flwr.cli.console import ExitCode

REPOSITORY = Path(__file__).resolve().parents[2]


def test_without_checkout_the_current_folder_counts(
    calls: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fedmvp: Any,
) -> None:
    monkeypatch.setattr(options, "CHECKOUT", tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    assert fedmvp("simulate") == ExitCode.WRONG_CONFIG
    (tmp_path / "pyproject.toml").write_text("[tool.flwr.app.config]\nseed = 1\n")
    assert fedmvp("simulate") == 0
    assert calls[0][0] == tmp_path


def test_a_wrong_key_ends_with_its_nearest_name(
    calls: Any,
    capsys: pytest.CaptureFixture[str],
    fedmvp: Any,
) -> None:
    wrong = "num-server-round=3 missing-ratio=2"
    code = fedmvp("simulate", "--app", str(REPOSITORY), "-c", wrong)
    assert code == ExitCode.WRONG_CONFIG
    error = " ".join(capsys.readouterr().err.split())
    assert "num-server-rounds" in error
    assert "missing-ratio" in error


@pytest.mark.parametrize(
    ("error", "code"), [(ConfigError("bad"), 2), (DataError("no complete pair"), 1)]
)
def test_own_errors_are_panels_without_traceback(
    preparation: types.ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
    fedmvp: Any,
) -> None:
    def fail(*args: Any) -> None:
        raise error

    monkeypatch.setattr(preparation, "prepare_all", fail)
    assert fedmvp("complete", "--app", str(REPOSITORY)) == code
    shown = capsys.readouterr().err
    assert str(error) in shown
    assert "Traceback" not in shown
