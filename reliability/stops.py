"""A run is stopped in the very moment in which a node fetches a message of it.

Flower 1.41's SuperNode then starts a ClientApp for the message that it has not fetched, and is one
reply behind from then on: it sends a reply only after it has fetched a further message.
"""

import time
from pathlib import Path
from typing import Any

from reliability.fault_table import Row
from reliability.federation import REPOSITORY, Federation, deployed, rounds
from reliability.flora import settings
from reliability.kills import going, round_events, whole
from reliability.outcome import completed, read_result
from reliability.processes import wait_for

FAULT = "the run is stopped while a node fetches a message; another run follows"
_NODE = "node-2"
_ROGUE = REPOSITORY / "reliability" / "rogue"
_OPEN_END = 100_000  # rounds: more than pass on any machine
_ROUNDS = 3
_TIMEOUT = 300.0  # seconds; also of the second run's rounds, each of which a late reply would cost


def stopped(root: Path, folders: list[Path]) -> list[Row]:
    """The second run must be as quick as if there had been none before it."""
    hold = root / "hold"

    def before(federation: Federation) -> None:
        paths = f"{_ROGUE}:{REPOSITORY}"
        federation.specs[_NODE].env |= {"PYTHONPATH": paths, "FEDMVP_ROGUE_HOLD": str(root)}

    with deployed(root, folders, before) as federation:
        out, after = root / "out", root / "next"
        endless = settings(root, folders, num_server_rounds=_OPEN_END, evaluate_every=_OPEN_END)
        first = federation.submit(endless)
        going(out, "round 1", lambda: rounds(out))
        hold.touch()
        going(out, "a message that is being fetched", (root / "held").exists, poll=0.1)
        federation.flwr("stop", first, "fedmvp")
        hold.unlink()
        wait_for("the end of the first run", lambda: _has_stopped(federation, first), _TIMEOUT, 5.0)
        config = settings(
            root, folders, num_server_rounds=_ROUNDS, out_dir=str(after), round_timeout=_TIMEOUT
        )
        began = time.monotonic()
        status = federation.wait(federation.submit(config), after)
        seconds = time.monotonic() - began
        starts = federation.nodes[_NODE].starts
    problems = completed(status, read_result(after), after, _ROUNDS)
    return [row_of_stop(status, problems, round_events(after), seconds, starts)]


def row_of_stop(
    status: str, problems: list[str], found: list[dict[str, Any]], seconds: float, starts: int
) -> Row:
    """The line of the table.

    Args:
        status: of the second run.
        problems: what is wrong with its end.
        found: the events of its rounds.
        seconds: from its submission to its end.
        starts: how often the node's SuperNode was started.
    """
    lacking = sum(not whole([event]) for event in found)
    good = not problems and whole(found) and seconds < _TIMEOUT
    said = f": {'; '.join(problems)}" if problems else ""
    happened = (
        f"the node was started {starts} times; the next run of {_ROUNDS} rounds is {status} after "
        f"{seconds:.0f} s{said}"
    )
    normal = "in the next run" if whole(found) else "never in that run"
    return Row(FAULT, happened, f"0 ({lacking} without its reply)", normal, good)


def _has_stopped(federation: Federation, run_id: str) -> bool:
    return federation.status(run_id).startswith("finished")
