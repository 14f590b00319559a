"""A node whose disk is full while it prepares, and has room again in the middle of the run."""

import errno
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedmvp_flwr.config.folders import LOG_FILE
from reliability.fault_table import Row
from reliability.federation import deployed, events
from reliability.flora import settings
from reliability.kills import going, round_events, whole

_NODE = "node-2"
_SIZE = "4m"
_LEFT = 1 << 20  # bytes that the feature store finds: less than it needs
_PIECE = 1 << 16  # bytes
_PATH = re.compile(r"/[\w./-]+")
_SHOWN = 160  # characters of a reason
_OPEN_END = 100_000  # rounds: more than pass on any machine


def disks(root: Path, folders: list[Path]) -> list[Row]:
    """A full disk below the node's feature store, then below all that the node writes."""
    cases = {"cache": "cache", "all": "cache, and all that Flower writes"}
    rows = []
    for case, what in cases.items():
        place = root / case
        place.mkdir()
        rows.append(_full(place, folders, what, whole_node=case == "all"))
    return rows


def _full(root: Path, folders: list[Path], what: str, *, whole_node: bool) -> Row:
    fault = f"full disk at a node ({what} on a tmpfs of {_SIZE})"
    with small_disk(root / "small") as small:
        if small is None:
            return Row(fault, "not tried: mounting a tmpfs needs rights", "", "")
        out = root / "out"
        with deployed(root, folders) as federation:
            federation.nodes.pop(_NODE).stop()
            spec = federation.specs[_NODE]
            spec.cache = small / "cache"
            if whole_node:
                spec.env["FLWR_HOME"] = str(small / "flwr")
            fill(small / "filler", 0 if whole_node else _LEFT)
            node = federation.start_node(_NODE)
            run = federation.submit(
                settings(root, folders, num_server_rounds=_OPEN_END, evaluate_every=_OPEN_END)
            )
            going(out, "round 2 without the node", lambda: len(round_events(out)) > 1)
            without = round_events(out)
            (small / "filler").unlink()
            began = time.monotonic()
            going(out, "a round with all nodes", lambda: whole(round_events(out)))
            seconds = time.monotonic() - began
            federation.flwr("stop", run, "fedmvp")
            status = federation.wait(run, out)
            starts = node.starts
            kept = root / "cache-2"  # the disk vanishes, what it says of the samples stays
            kept.mkdir()
            shutil.copy(spec.cache / LOG_FILE, kept)
    refused = dict.fromkeys(e["reason"] for e in events(out) if e["event"] == "client-refused")
    said = (
        "; ".join(map(without_paths, refused))
        or f"Flower's SuperNode does not come up (started {starts} times)"
    )
    good = not any(map(whole, ([event] for event in without))) and status.startswith(
        "finished:stopped"
    )
    lost = f"0 ({sum(not whole([e]) for e in round_events(out))} without its reply)"
    normal = f"{seconds:.0f} s after the disk has room again, in the same run"
    return Row(fault, f"the node is left out ({said}), the others train", lost, normal, good)


def without_paths(reason: str) -> str:
    """The beginning of a reason, with `...` for each path in it."""
    return _PATH.sub("...", reason)[:_SHOWN]


def fill(path: Path, left: int) -> None:
    """Fill a disk with a file, up to `left` bytes."""
    with path.open("wb") as file:
        try:
            while True:
                file.write(bytes(_PIECE))
                file.flush()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        end = file.tell()
    if left:
        os.truncate(path, max(end - left, 0))


@contextmanager
def small_disk(path: Path) -> Iterator[Path | None]:
    """A file system with next to no room; None where it cannot be had."""
    path.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(path)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        yield None
        return
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=False, capture_output=True)
