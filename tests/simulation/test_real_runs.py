"""Whole simulations with the real Flower and Ray, of an app that needs neither data nor models."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow

_COMMAND = [sys.executable, "-m", "fedmvp_flwr.cli.main"]
_REPOSITORY = Path(__file__).resolve().parents[2]
_PATIENCE = 240


def _start(app: Path, out: Path, tag: str, *arguments: str) -> subprocess.Popen[str]:
    # `tag` travels in the environment to every process that is started, however detached.
    options = ["--app", str(app), "--num-clients", "3", "--out", str(out), *arguments]
    return subprocess.Popen(
        [*_COMMAND, "simulate", *options],
        env={**os.environ, "FEDMVP_TEST_TAG": tag, "OMP_NUM_THREADS": "1"},
        cwd=_REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _tagged(tag: str) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("FEDMVP_TEST_TAG") == tag
    ]


@pytest.fixture
def tags() -> Iterator[tuple[str, str, str]]:
    values = (uuid.uuid4().hex, uuid.uuid4().hex, uuid.uuid4().hex)
    yield values
    for value in values:
        for process in _tagged(value):  # of a test that failed
            process.kill()


def test_three_simulations_at_once(
    toy_app: Path, tmp_path: Path, tags: tuple[str, str, str]
) -> None:
    """One fails, one is interrupted, one completes; each leaves nothing, and the others alone."""
    failing = _start(toy_app, tmp_path / "fails", tags[0], "-c", "behaviour='fail'")
    endless = _start(toy_app, tmp_path / "endless", tags[1], "-c", "behaviour='endless'")
    whole = _start(toy_app, tmp_path / "whole", tags[2], "-c", "note='a b'")

    metrics = tmp_path / "endless" / "metrics.jsonl"
    deadline = time.monotonic() + _PATIENCE
    while not metrics.exists() and endless.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(_tagged(tags[1])) > 5  # SuperLink, SuperExec, ServerApp, Ray
    endless.send_signal(signal.SIGINT)
    endless.send_signal(signal.SIGINT)  # an impatient user
    text, _ = endless.communicate(timeout=_PATIENCE)
    assert endless.returncode == 130, text
    assert _tagged(tags[1]) == []

    text, _ = failing.communicate(timeout=_PATIENCE)
    assert failing.returncode == 1, text
    assert "the toy was told to fail" in text
    assert _tagged(tags[0]) == []

    text, _ = whole.communicate(timeout=_PATIENCE)
    assert whole.returncode == 0, text
    assert "round 2/2" in text
    out = tmp_path / "whole"
    result = json.loads((out / "result.json").read_text())
    assert result == {"status": "completed", "note": "a b"}
    events = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [event["clients"] for event in events] == [3, 3]
    assert Path(events[0]["cwd"]).name == "neutral"
    assert _tagged(tags[2]) == []
