"""Two kills in one run: a node while it trains, then the SuperLink; restart, resume, finish.

How many rounds pass in the meantime depends on the machine, so the run has no end of its own: it is
killed, resumed, ended by hand once all nodes are back, and resumed for its last rounds.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from reliability.federation import Federation, events, rounds
from reliability.flora import settings
from reliability.outcome import completed, excess, newest_checkpoint, read_result
from reliability.processes import session, wait_for
from reliability.traffic import between, read

_OPEN_END = 100_000  # rounds: more than pass on any machine
_LAST = 2  # rounds that are left for the end
_EVENT_TIMEOUT = 600.0  # seconds for a round; generous, for machines that are busy
_KILLED_NODE = "node-2"
_ALL = 3  # nodes


def kills(federation: Federation, folders: list[Path]) -> tuple[dict[str, Any], list[str]]:
    """Kill a node while it trains, then the SuperLink; return a record, and what is wrong."""
    out = federation.root / "out"
    config = settings(
        federation.root, folders, num_server_rounds=_OPEN_END, evaluate_every=_OPEN_END
    )
    first = federation.submit(config)
    going(out, "round 1", lambda: rounds(out))
    before = read(federation)
    going(out, "round 2", lambda: 2 in rounds(out))
    after = read(federation)  # no preparation and no evaluation in between
    traffic = {n: between(federation, n, before[n], after[n]) for n in federation.specs}

    node = federation.nodes[_KILLED_NODE]
    going(out, "a ClientApp that trains", lambda: trains(node.pid), poll=0.1)
    node.kill()
    killed_at, done = time.monotonic(), len(rounds(out))
    going(out, "a round without the killed node", lambda: any(map(lacks, after_round(out, done))))
    round_lost_after = time.monotonic() - killed_at
    going(out, "the killed node's return", lambda: whole(after_round(out, done)))
    node_back_after = time.monotonic() - killed_at

    federation.superlink.kill(restart=False)
    finished = newest_checkpoint(out)
    killed_at = time.monotonic()
    federation.start_superlink()
    superlink_back_after = time.monotonic() - killed_at
    second = federation.submit(config | {"resume": str(out)})
    wait_for("the resumption", lambda: resumptions(out), _EVENT_TIMEOUT)
    going(out, "a round with all nodes", lambda: whole(after_round(out, finished)))
    nodes_back_after = time.monotonic() - killed_at

    federation.flwr("stop", second, "fedmvp")
    second_status = federation.wait(second, out, _EVENT_TIMEOUT)
    last = newest_checkpoint(out) + _LAST
    third = federation.submit(config | {"resume": str(out), "num-server-rounds": last})
    wait_for("the second resumption", lambda: len(resumptions(out)) == 2, _EVENT_TIMEOUT)
    status = federation.wait(third, out, _EVENT_TIMEOUT)

    first_status = federation.status(first)  # a restarted SuperLink takes a while to notice
    problems = completed(status, read_result(out), out, last)
    problems += excess(federation, out, traffic)
    for run, expected in ((first_status, "finished:failed"), (second_status, "finished:stopped")):
        if not run.startswith(expected):
            problems.append(f"an interrupted run is '{run}', expected {expected}")
    resumed = resumptions(out)
    if resumed[0] != finished:
        problems.append(f"resumed after round {resumed[0]}, {finished} rounds were finished")
    for event in round_events(out):
        if len(event["clients"]) < _ALL - 1:
            problems.append(f"round {event['round']} has the clients {event['clients']} alone")
    return {
        "traffic of a round": traffic,
        "peak-bytes-of-a-node": {name: s.peak_bytes for name, s in federation.nodes.items()},
        "peak-bytes-of-the-superlink": federation.superlink.peak_bytes,
        "killed node: seconds until the round went on": round(round_lost_after, 1),
        "killed node: seconds until a round had it again": round(node_back_after, 1),
        "killed node: starts": node.starts,
        "killed node: rounds without it": sum(map(lacks, round_events(out)[:finished])),
        "killed SuperLink: seconds until healthy": round(superlink_back_after, 1),
        "killed SuperLink: seconds until a round had all nodes": round(nodes_back_after, 1),
        "killed SuperLink: finished rounds": finished,
        "resumed after": resumed,
        "clients by round": {e["round"]: e["clients"] for e in round_events(out)},
        "status": status,
    }, problems


def going(out: Path, what: str, condition: Callable[[], object], poll: float = 0.5) -> None:
    """Wait for something that a run that goes on does.

    Raises:
        RuntimeError: the run ended before.
        TimeoutError: it takes too long.
    """

    def there() -> object:
        if found := condition():
            return found
        if (last := events(out)[-1:]) and last[0]["event"] == "run-end":
            raise RuntimeError(f"the run ended before {what}: {last[0]}")
        return False

    wait_for(what, there, _EVENT_TIMEOUT, poll)


def round_events(out: Path) -> list[dict[str, Any]]:
    """The events of the trained rounds, in their order."""
    return [event for event in events(out) if event.get("event") == "round"]


def after_round(out: Path, number: int) -> list[dict[str, Any]]:
    """The events of the rounds after one."""
    return [event for event in round_events(out) if event["round"] > number]


def lacks(event: dict[str, Any]) -> bool:
    """Whether a round counted without a node."""
    return len(event["clients"]) < _ALL


def whole(found: list[dict[str, Any]]) -> bool:
    """Whether the last of some rounds had all nodes."""
    return bool(found) and not lacks(found[-1])


def resumptions(out: Path) -> list[int]:
    """The rounds after which a run went on."""
    return [event["after-round"] for event in events(out) if event.get("event") == "run-resume"]


def trains(leader: int) -> bool:
    """Whether a ClientApp runs in the session of a SuperNode."""
    for pid in session(leader):
        with suppress(psutil.NoSuchProcess):
            if any("flwr-clientapp" in word for word in psutil.Process(pid).cmdline()):
                return True
    return False
