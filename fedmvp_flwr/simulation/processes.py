"""Find and end every process of one simulation.

Stopping the SuperLink is not enough: it ends its `flower-superexec`, but in the middle of a run
the ServerApp's process and Ray's about ten processes stay for as long as the rounds take.
"""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from fedmvp_flwr.simulation.environment import MARK
from fedmvp_flwr.simulation.errors import SimulationError

_GRACE = 3.0  # seconds between SIGTERM and SIGKILL; an idle SuperLink needs about 1
_KILL_TIMEOUT = 10.0
_POLL = 0.1
_PROC = Path("/proc")


def find_marked(mark: str) -> list[int]:
    """Return the ids of the living processes whose environment holds `MARK=mark`."""
    entry = f"{MARK}={mark}"
    marked = _from_proc(entry) if (_PROC / "self" / "environ").exists() else _from_ps(entry)
    return [pid for pid in marked if pid != os.getpid()]


def stop_marked(mark: str) -> None:
    """End every marked process: SIGTERM, a moment of grace, SIGKILL.

    Raises:
        SimulationError: some process cannot be ended.
    """
    _signal(find_marked(mark), signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    while (alive := find_marked(mark)) and time.monotonic() < deadline:
        time.sleep(_POLL)
    deadline = time.monotonic() + _KILL_TIMEOUT
    while alive and time.monotonic() < deadline:
        _signal(alive, signal.SIGKILL)
        time.sleep(_POLL)
        alive = find_marked(mark)  # again: one may have started another in between
    if alive:
        raise SimulationError(f"Could not end the processes {alive}: end them by hand.")


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _from_proc(entry: str) -> list[int]:
    found = []
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            # A process that ended (or a zombie) has no environment, another user's is private.
            with suppress(OSError):
                if entry.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
    return found


def _from_ps(entry: str) -> list[int]:
    # macOS: -E appends the environment to the command of one's own processes.
    listing = subprocess.run(
        ["ps", "-axwwE", "-o", "pid=,command="], capture_output=True, text=True, check=False
    ).stdout
    rows = [line.split() for line in listing.splitlines()]
    return [int(row[0]) for row in rows if entry in row[1:]]
