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
def tag() -> Iterator[str]:
    value = uuid.uuid4().hex
    yield value
    for process in _tagged(value):  # of a test that failed
        process.kill()


def test_of_two_simulations_at_once_one_completes_and_one_fails(
    toy_app: Path, tmp_path: Path, tag: str
) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    completing = _start(toy_app, good, tag, "-c", "note='good'")
    failing = _start(toy_app, bad, tag, "-c", "behaviour='fail'")
    text, _ = failing.communicate(timeout=_PATIENCE)
    assert failing.returncode == 1, text
    assert "the toy was told to fail" in text
    text, _ = completing.communicate(timeout=_PATIENCE)
    assert completing.returncode == 0, text
    assert "round 2/2" in text
    result = json.loads((good / "result.json").read_text())
    assert result == {"status": "completed", "note": "good"}
    events = [json.loads(line) for line in (good / "metrics.jsonl").read_text().splitlines()]
    assert [event["clients"] for event in events] == [3, 3]
    assert Path(events[0]["cwd"]).name == "neutral"
    assert _tagged(tag) == []


def test_an_interrupt_in_the_middle_leaves_nothing(toy_app: Path, tmp_path: Path, tag: str) -> None:
    run = _start(toy_app, tmp_path / "out", tag, "-c", "behaviour='endless'")
    metrics = tmp_path / "out" / "metrics.jsonl"
    deadline = time.monotonic() + _PATIENCE
    while not metrics.exists() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(_tagged(tag)) > 5  # SuperLink, SuperExec, ServerApp, Ray
    run.send_signal(signal.SIGINT)
    run.send_signal(signal.SIGINT)  # an impatient user
    text, _ = run.communicate(timeout=_PATIENCE)
    assert run.returncode == 130, text
    assert _tagged(tag) == []
