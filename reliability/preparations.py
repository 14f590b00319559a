"""What one node answers when it is asked to prepare, and how long it stays out for it."""

from pathlib import Path
from typing import Any

from reliability.fault_table import Row
from reliability.federation import REPOSITORY, Federation, deployed, events
from reliability.flora import settings
from reliability.kills import going, round_events, whole
from reliability.misbehaviour import moment

_NODE = "node-2"
_ASKED = "asked to `prepare`"
_ROGUE = REPOSITORY / "reliability" / "rogue"
_OPEN_END = 100_000  # rounds: more than pass on any machine
_SHOWN = 200  # characters of a reason

ANSWERS = {
    "text": f"{_ASKED}: an answer that breaks off",
    "deep": f"{_ASKED}: 100,000 nested lists",
    "lie": f"{_ASKED}: 10^24 samples",
    "nan": f"{_ASKED}: a count of NaN",
    "large": f"{_ASKED}: a name of 50 MB",
    "raise": f"{_ASKED}: the ClientApp raises an error",
    "kill": f"{_ASKED}: the ClientApp's process is killed with SIGKILL",
}


def preparations(root: Path, folders: list[Path]) -> list[Row]:
    """One run; a node answers wrongly each time that it is asked, and then well."""

    def before(federation: Federation) -> None:
        federation.specs[_NODE].env |= {
            "PYTHONPATH": f"{_ROGUE}:{REPOSITORY}",
            "FEDMVP_ROGUE_PREPARE": " ".join(ANSWERS),
        }

    out = root / "out"
    with deployed(root, folders, before) as federation:
        config = settings(root, folders, num_server_rounds=_OPEN_END, evaluate_every=_OPEN_END)
        run = federation.submit(config)
        going(out, "a round with all nodes", lambda: whole(round_events(out)))
        federation.flwr("stop", run, "fedmvp")
        status = federation.wait(run, out)
    return rows_of(events(out), status)


def rows_of(found: list[dict[str, Any]], status: str) -> list[Row]:
    """A line for each answer.

    Args:
        found: the events of the run.
        status: Flower's, at its end.
    """
    refused = [event for event in found if event["event"] == "client-refused"]
    rounds = [event for event in found if event["event"] == "round"]
    ends = [*refused[1:], *(event for event in rounds if whole([event]))][: len(refused)]
    rows = []
    for index, fault in enumerate(ANSWERS.values()):
        if index >= len(refused) or len(ends) != len(refused):
            rows.append(Row(fault, "not refused, or never in the run afterwards", "", "", False))
            continue
        event, end = refused[index], ends[index]
        seconds = (moment(end) - moment(event)).total_seconds()
        last = index == len(ANSWERS) - 1
        normal = "trained along" if last else "its next answer came"
        reason = event["reason"][:_SHOWN]
        happened = f"left out and named: {reason}"
        rows.append(Row(fault, happened, "0", f"{normal} after {seconds:.0f} s"))
    good = len(refused) == len(ANSWERS) and status.startswith("finished:stopped")
    without = sum(not whole([event]) for event in rounds)
    said = f"{len(rounds)} rounds, {without} of them by the two other nodes; the run is {status}"
    return [*rows, Row(f"{_ASKED}: all of these in one run", said, "0", "", good)]
