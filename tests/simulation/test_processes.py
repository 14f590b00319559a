import os
import signal
import subprocess
import sys
import time

from fedmvp_flwr.simulation import processes
from fedmvp_flwr.simulation.environment import MARK
from fedmvp_flwr.simulation.processes import find_marked, stop_marked

_STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "600"], start_new_session=True)
print("ready", flush=True)
time.sleep(600)
"""


def _start(mark: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _STUBBORN],
        env={**os.environ, MARK: mark},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_ends_detached_and_stubborn_processes_of_one_mark_only(monkeypatch) -> None:
    monkeypatch.setattr(processes, "_GRACE", 0.3)
    with _start("mark-a") as ours, _start("mark-b") as other:
        assert ours.pid in find_marked("mark-a")
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
        while process.pid in find_marked("mark-long") and time.monotonic() < deadline:
            time.sleep(0.05)  # a zombie is no living process
        assert process.pid not in find_marked("mark-long")
        stop_marked("mark-long")


def test_nothing_to_stop() -> None:
    stop_marked("nobody-has-this")


def test_finds_by_ps_where_there_is_no_proc(monkeypatch) -> None:
    listing = f"  12 /bin/ray A=b {MARK}=m X=y\n 13 other {MARK}=mm\n"
    done = subprocess.CompletedProcess([], 0, stdout=listing)
    monkeypatch.setattr(processes.subprocess, "run", lambda *args, **kwargs: done)
    monkeypatch.setattr(processes, "_PROC", processes.Path("/no-such-proc"))
    assert find_marked("m") == [12]
