"""`fedmvp pretrain`."""

from pathlib import Path
from typing import Any

import pytest

from fedmvp_flwr.cli.console import ExitCode

REPOSITORY = Path(__file__).resolve().parents[2]


def test_pretrain_passes_its_options_on(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fedmvp: Any,
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
    assert fedmvp(*arguments) == 0
    ((config, settings),) = seen
    assert (config.data.dataset, config.data.text_column) == (f"folder:{tmp_path}", "caption")
    assert (settings.split, settings.steps, settings.seed, settings.minutes) == ("open", 7, 3, 2)
    assert (settings.shape.image_size, settings.shape.width, settings.use_labels) == (32, 64, True)
    printed = capsys.readouterr().out
    assert "0.25" in printed
    assert f"captioner='transformers:local:{tmp_path}/own/captioner'" in printed


def test_pretrain_refuses_a_shape_that_does_not_fit(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fedmvp: Any,
) -> None:
    arguments = ["pretrain", "--app", str(REPOSITORY), "--data", "flora", "--out", str(tmp_path)]
    code = fedmvp(*arguments, "--image-size", "50")
    assert code == ExitCode.WRONG_CONFIG
    assert "image_size=50" in capsys.readouterr().err
