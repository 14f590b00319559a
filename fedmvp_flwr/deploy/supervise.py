"""Runs a Flower service and ends it when it is dead, or deaf, without knowing it.

After an error of the SuperLink (500, as when its database is locked for five seconds), or if the
SuperLink is killed in the middle of an answer (an SSL error), the SuperNode of Flower 1.41 stops
asking for messages but its process stays, and a `flower-superexec` that met a 500 is gone while its
parent goes on. And a SuperNode that fetches a message in the moment in which its run is stopped
lets a ClientApp answer it all the same, and is one reply behind from then on: it sends one only
after it has fetched a further message. No restart policy sees any of that. This one does:
`python -m fedmvp_flwr.deploy.supervise --fatal REGEX --needs NAME --alive FILE -- PROGRAM ...`

Flower installs an app once and takes a folder that is there for an installed app, also where a
full disk or a kill left half of it. `--apps FOLDER` empties the folder at the start, and `--broken
REGEX` whenever a line says that an app cannot be loaded: the next message installs it anew.

And it keeps a node that was killed away until the SuperLink has noticed. A message that the dead
process had fetched is answered, with an error, only while the node counts as offline; one that came
back in that very moment would leave its round waiting until `round-timeout`.
"""

import argparse
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

_PROC = Path("/proc")
_POLL = 2.0  # seconds
_ABSENT = 20.0  # seconds that a needed child may be away
_GRACE = 10.0  # seconds between SIGTERM and SIGKILL
_AT_WORK = ("flwr-serverapp", "flwr-clientapp")  # while one of these runs, nothing is ended
_DEAD = 1  # exit status
_SILENCE = 75.0  # seconds; Flower takes a node for offline 60 s after its last sign of life


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program to its end; return its exit status, or 1 if it had to be ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fatal", help="a line of output that says that it is dead")
    parser.add_argument("--needs", help="name of a child without which it is dead")
    parser.add_argument("--alive", type=Path, help="file that says when it was last seen alive")
    parser.add_argument(
        "--apps", type=Path, help="where Flower installs apps; emptied at the start"
    )
    parser.add_argument("--broken", help="a line that says that an app there is not whole")
    parser.add_argument("command", nargs="+", help="-- and the program with its arguments")
    options = parser.parse_args(arguments)
    apps = Apps(options.apps, options.broken) if options.apps else None
    return supervise(options.command, options.fatal, options.needs, options.alive, apps)


class Apps:
    """The folder in which Flower installs apps: nothing but copies of what it is sent.

    Args:
        folder: is emptied at once.
        broken: regular expression of a line after which it is emptied again.
    """

    def __init__(self, folder: Path, broken: str | None = None) -> None:
        self._folder = folder
        self._broken = re.compile(broken) if broken else None
        shutil.rmtree(folder, ignore_errors=True)

    def look(self, line: str) -> None:
        """Empty the folder if a line of output asks for it."""
        if self._broken and self._broken.search(line) and self._folder.exists():
            shutil.rmtree(self._folder, ignore_errors=True)
            _say("fedmvp: the app is not installed whole; it is installed anew.\n")


def supervise(
    command: Sequence[str],
    fatal: str | None = None,
    needs: str | None = None,
    alive: Path | None = None,
    apps: Apps | None = None,
) -> int:
    """Run a program, copy its output, and end it when it is dead.

    Args:
        command: program and arguments.
        fatal: regular expression of a line that says so.
        needs: name of a child process that must stay, once it was seen.
        alive: file that is touched while the program runs, and is gone after an end in good order;
            if it is there, the program was killed, and is kept away for a while.
        apps: where it installs apps.

    Returns:
        The program's exit status; 1 if it was ended for being dead.
    """
    if alive:
        _stay_away(alive)
    # A group of its own: Ctrl-C in a terminal reaches it once, through `pass_on`. The second signal
    # would kill Flower's SuperNode before it has said goodbye.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0
    )
    dead = threading.Event()

    def pass_on(number: int, frame: FrameType | None) -> None:
        process.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves SIGHUP
            signal.signal(number, pass_on)
    reader = threading.Thread(target=_copy, args=(process, fatal, dead.set, apps), daemon=True)
    reader.start()
    watch = _ChildWatch(process.pid, needs) if needs else None
    ended = False
    while process.poll() is None:
        if alive:
            with suppress(OSError):  # a full disk
                alive.touch()
        if dead.wait(_POLL) or (watch and watch.missing()):
            _say("fedmvp: this process is dead without knowing it; it is ended.\n")
            _end(process)
            ended = True
    reader.join(_GRACE)
    if alive and (process.returncode >= 0 or ended):
        alive.unlink(missing_ok=True)
    return _DEAD if ended else process.returncode


def _stay_away(alive: Path) -> None:
    """Wait until the SuperLink has noticed that the program was killed, if it was."""
    try:
        left = _SILENCE - max(time.time() - alive.stat().st_mtime, 0.0)
    except FileNotFoundError:
        return
    if left > 0:
        _say(f"fedmvp: killed a moment ago; it is started again in {left:.0f} s.\n")
        time.sleep(left)


class _ChildWatch:
    """Notices that a needed child has gone."""

    def __init__(self, parent: int, name: str) -> None:
        self._parent, self._name = parent, name
        self._seen = False
        self._since: float | None = None

    def missing(self) -> bool:
        """Whether it was there, and has been away for a while, with nothing at work meanwhile."""
        names = descendants(self._parent)
        if self._name in names:
            self._seen, self._since = True, None
            return False
        if not self._seen or any(name in names for name in _AT_WORK):
            return False
        self._since = self._since or time.monotonic()
        return time.monotonic() - self._since > _ABSENT


def descendants(parent: int) -> list[str]:
    """Program names of the living processes below a process."""
    rows: dict[int, tuple[int, str]] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                state, ppid = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if state != "Z":
                    rows[int(folder.name)] = (int(ppid), " ".join(words))
    below = {parent}
    while more := {pid for pid, (ppid, _) in rows.items() if ppid in below} - below:
        below |= more
    found = [rows[pid][1] for pid in below - {parent} if pid in rows]
    return [Path(word).name for text in found for word in text.split()[:2]]


def _copy(
    process: subprocess.Popen[bytes],
    fatal: str | None,
    on_fatal: Callable[[], None],
    apps: Apps | None,
) -> None:
    pattern = re.compile(fatal) if fatal else None
    assert process.stdout is not None  # for mypy: stdout=PIPE above
    for line in process.stdout:
        text = line.decode(errors="replace")
        _say(text)
        if pattern and pattern.search(text):
            on_fatal()
        if apps:
            apps.look(text)


def _say(line: str) -> None:
    """Write a line, if that can be: a log on a full disk must not stop the program."""
    with suppress(OSError, ValueError):
        sys.stdout.buffer.write(line.encode())
        sys.stdout.buffer.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
