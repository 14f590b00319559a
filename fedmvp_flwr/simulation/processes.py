"""Find and end every process of one simulation.

Stopping the SuperLink is not enough: it ends its `flower-superexec`, but in the middle of a run
the ServerApp's process and Ray's about ten processes stay for as long as the rounds take. The mark
in the environment finds what was detached from its parent; descent finds what has lost the mark:
Ray writes the names of some processes over their environment, and between fork and exec a process
has none.
"""

import os
import time
from collections import defaultdict
from contextlib import suppress

import psutil

from fedmvp_flwr.base.errors import SimulationError
from fedmvp_flwr.simulation.environment import MARK

_GRACE = 3.0  # seconds between SIGTERM and SIGKILL; an idle SuperLink needs about 1
_KILL_TIMEOUT = 10.0
_POLL = 0.1
_QUIET_POLLS = 3  # looks in a row that find nothing: one may come too early for a new process


def find_marked(mark: str) -> list[psutil.Process]:
    """Return the living processes with `MARK=mark` in their environment, and their descendants."""
    children: defaultdict[int, list[psutil.Process]] = defaultdict(list)
    found: list[psutil.Process] = []
    for process in psutil.process_iter(["environ", "ppid", "status"]):
        # Another user's environment cannot be read: it is None then.
        if process.pid == os.getpid() or process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        if (process.info["environ"] or {}).get(MARK) == mark:
            found.append(process)
        elif process.info["ppid"] is not None:
            children[process.info["ppid"]].append(process)
    for process in found:  # grows while it is gone through
        found += children.pop(process.pid, [])
    return found


def stop_marked(mark: str) -> None:
    """End every marked process: SIGTERM, a moment of grace, SIGKILL.

    What was seen once is ended, also after it has lost its mark and its parent.

    Raises:
        SimulationError: some process cannot be ended.
    """
    known = set(find_marked(mark))
    for process in known:
        with suppress(psutil.Error):
            process.terminate()
    kill_at = time.monotonic() + _GRACE
    quiet = 0
    while quiet < _QUIET_POLLS:
        time.sleep(_POLL)
        known = {process for process in known if _is_alive(process)}
        known.update(find_marked(mark))
        quiet = 0 if known else quiet + 1
        late = time.monotonic() - kill_at
        if known and late > _KILL_TIMEOUT:
            pids = sorted(process.pid for process in known)
            raise SimulationError(f"Could not end the processes {pids}: end them by hand.")
        if late > 0:
            for process in known:
                with suppress(psutil.Error):
                    process.kill()


def _is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
