"""Processes in sessions of their own: watched, and ended with all that they started."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

_SAMPLE = 2.0  # seconds between two looks at the memory: each costs CPU
_GOODBYE, _GRACE = 10.0, 5.0  # seconds for the group that is asked first, and for all others
_LEFTOVER = 2.0  # seconds for what is left when the group that was asked has ended
_RESTART_FIRST, _RESTART_MOST = 1.0, 60.0  # seconds, as a container engine waits


class Service:
    """A program with its log; with `restart`, it is started again when it ends, ever more slowly.

    Args:
        name: for messages.
        command: program and arguments.
        env: its whole environment.
        log: file that takes its output; it is appended to.
        restart: as compose's `restart: unless-stopped`.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        *,
        restart: bool = False,
    ) -> None:
        self.name, self.command, self.env, self.log = name, list(command), dict(env), log
        self.restart = restart
        self.starts = 0
        self.peak_bytes = 0
        self._stopped = threading.Event()
        self._process = self._start()
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id of the program, which is also that of its session."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Exit status of the last start; None while it runs."""
        return self._process.poll()

    def text(self) -> str:
        """All that it has written."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def kill(self, *, restart: bool | None = None) -> None:
        """End it and all that it started with SIGKILL, as a crash of its machine would."""
        if restart is not None:
            self.restart = restart
        self._signal(self._members(), signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it gently, then by force.

        As systemd (`KillMode=mixed`), container engines and terminals do, its own process group is
        asked first: what `supervise` looks after hears of it through `supervise`, once.
        """
        self._stopped.set()
        members, own = self._members(), group(self.pid)
        for asked, number, grace in (
            (own, signal.SIGTERM, _GOODBYE),
            (None, signal.SIGTERM, _GRACE),
            (None, signal.SIGKILL, _GRACE),
        ):
            self._signal(members if asked is None else asked, number)
            deadline = time.monotonic() + grace
            while members and time.monotonic() < deadline:
                self._process.poll()
                time.sleep(0.1)
                # What was seen once is waited for, also when its parent is gone.
                members = {pid for pid in members if _is_alive(pid)} | self._members()
                if asked and not any(map(_is_alive, own)):  # nobody is left to tell the others
                    deadline, asked = min(deadline, time.monotonic() + _LEFTOVER), None
        self._process.wait()

    def _members(self) -> set[int]:
        # A SuperLink's ServerApp has a session of its own, a shell's daemon another parent.
        return {*session(self.pid), *family(self.pid)}

    @staticmethod
    def _signal(pids: Iterable[int], number: signal.Signals) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self.command,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _watch(self) -> None:
        pause = _RESTART_FIRST
        while not self._stopped.wait(_SAMPLE):
            if self._process.poll() is None:
                self.peak_bytes = max(self.peak_bytes, resident(self._members()))
            elif self.restart:
                if self._stopped.wait(pause):
                    return
                pause = min(2 * pause, _RESTART_MOST)
                if self.restart and not self._stopped.is_set():
                    self._process = self._start()


def _is_alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def session(leader: int) -> list[int]:
    """Ids of the living processes of a session."""
    found = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError):
            if process.info["status"] != psutil.STATUS_ZOMBIE and os.getsid(process.pid) == leader:
                found.append(process.pid)
    return found


def group(leader: int) -> list[int]:
    """Ids of the living processes of a process group."""
    found = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError):
            if process.info["status"] != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) == leader:
                found.append(process.pid)
    return found


def family(ancestor: int) -> list[int]:
    """Ids of a living process and of all that descend from it, in whatever session they are."""
    found = []
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(ancestor)
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                if member.status() != psutil.STATUS_ZOMBIE:
                    found.append(member.pid)
    return found


def resident(pids: Iterable[int]) -> int:
    """Resident bytes of processes together; what they share is counted for each."""
    total = 0
    for pid in pids:
        with suppress(psutil.Error):
            total += psutil.Process(pid).memory_info().rss
    return total


def end_on_sigterm() -> None:
    """Let SIGTERM end this program as an error does, so that it ends all that it started; once."""

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit("ended from outside")

    signal.signal(signal.SIGTERM, end)


def wait_for(what: str, condition: Callable[[], object], timeout: float, poll: float = 0.5) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: it did not within `timeout` seconds; says what was waited for.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:.0f} s for {what}")
        time.sleep(poll)
