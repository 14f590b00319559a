import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest

from fedmvp_flwr.base.errors import SimulationError
from fedmvp_flwr.simulation import processes
from fedmvp_flwr.simulation.environment import MARK
from fedmvp_flwr.simulation.processes import find_marked, stop_marked

_STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(sys.argv[1], shell=True, start_new_session=True)
print("ready", flush=True)
time.sleep(600)
"""


_DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


@contextmanager
def _start(mark: str, child: str = "sleep 600") -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _STUBBORN, f"exec {child}"],
        env={**os.environ, MARK: mark},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
        try:
            yield process
        finally:
            for member in family:
                with suppress(psutil.NoSuchProcess):
                    member.kill()


def _pids(mark: str) -> list[int]:
    return [process.pid for process in find_marked(mark)]


def test_ends_detached_and_stubborn_processes_of_one_mark_only(monkeypatch) -> None:
    monkeypatch.setattr(processes, "_GRACE", 0.3)
    with _start("mark-a") as ours, _start("mark-b") as other:
        assert ours.pid in _pids("mark-a")
        assert len(find_marked("mark-a")) == 2
        stop_marked("mark-a")
        assert find_marked("mark-a") == []
        assert ours.wait() == -signal.SIGKILL
        assert len(find_marked("mark-b")) == 2
        stop_marked("mark-b")
        other.wait()


def test_a_mark_is_matched_whole() -> None:
    with _start("mark-long") as process:
        assert find_marked("mark") == []
        assert find_marked("mark-long")
        process.kill()
        deadline = time.monotonic() + 5
        while process.pid in _pids("mark-long") and time.monotonic() < deadline:
            time.sleep(0.05)  # a zombie is no living process
        assert process.pid not in _pids("mark-long")
        stop_marked("mark-long")


def test_nothing_to_stop() -> None:
    stop_marked("nobody-has-this")


def test_finds_descendants_without_the_mark() -> None:
    with _start("mark-parent", child="env -i sleep 600") as parent:
        assert len(find_marked("mark-parent")) == 2
        stop_marked("mark-parent")
        parent.wait()
        assert [p for p in psutil.process_iter(["ppid"]) if p.info["ppid"] == parent.pid] == []


def test_ends_what_lost_its_mark_and_its_parent(monkeypatch) -> None:
    monkeypatch.setattr(processes, "_GRACE", 0.3)
    child = f"env -i {sys.executable} -c '{_DEAF}'"
    with _start("mark-orphan", child) as parent:
        (orphan,) = [p for p in find_marked("mark-orphan") if p.pid != parent.pid]
        monkeypatch.setattr(psutil.Process, "terminate", lambda process: parent.kill())
        stop_marked("mark-orphan")
        with suppress(psutil.NoSuchProcess):
            assert orphan.status() == psutil.STATUS_ZOMBIE


def test_looks_again_before_it_believes_that_nothing_is_left(monkeypatch) -> None:
    with subprocess.Popen(["sleep", "600"]) as late:
        looks = iter([[], [], [psutil.Process(late.pid)], [], [], []])
        monkeypatch.setattr(processes, "find_marked", lambda mark: next(looks))
        monkeypatch.setattr(processes, "_GRACE", 0.0)
        stop_marked("any")
        assert late.wait(timeout=10) == -signal.SIGKILL


def test_says_what_it_could_not_end(monkeypatch) -> None:
    monkeypatch.setattr(processes, "_GRACE", 0.1)
    monkeypatch.setattr(processes, "_KILL_TIMEOUT", 0.3)
    with _start("mark-immortal") as process:
        with monkeypatch.context() as immortal:
            immortal.setattr(psutil.Process, "kill", lambda process: None)
            with pytest.raises(SimulationError, match=str(process.pid)):
                stop_marked("mark-immortal")
        stop_marked("mark-immortal")
