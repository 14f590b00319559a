"""The fault table of docs/reliability.md: `python -m reliability.faults --write`.

Real processes with TLS and authentication; one node misbehaves in a different way in every second
round of one run, each time with a round after it to show that all is well again. Before it, the
ways in which a node cannot even connect are tried. Faults that need rights (a small tmpfs for the
full disk) are left out, and named, where these are missing.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from reliability.disks import disks
from reliability.fault_table import (
    NOTHING_LOST,
    Row,
    data_digest,
    data_lost,
    store,
    stored,
    table,
    write,
)
from reliability.federation import (
    REPOSITORY,
    Federation,
    deployed,
    events,
    free_port,
    temporary_folder,
)
from reliability.flora import export, settings
from reliability.kills import kills, round_events
from reliability.misbehaviour import (
    EVALUATED,
    PLAN,
    ROUND_OF,
    ROUNDS,
    SPOILT,
    TWICE,
    row_of,
    row_of_evaluation,
    row_of_twice,
    second_answer,
)
from reliability.outcome import completed, read_result
from reliability.preparations import preparations
from reliability.processes import Service, end_on_sigterm, wait_for
from reliability.proxy import HOST
from reliability.stops import stopped

ROGUE = "node-2"
ROGUE_CACHE = "cache-2"
ROGUE_FOLDER = Path(__file__).parent / "rogue"
ROUND_TIMEOUT = 180.0  # seconds; also how late the late reply is, and a half more
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_REFUSED_TIMEOUT = 300.0
_ROUNDS_OF_TWICE = 4


def main() -> int:
    """Produce the table; 0 if every fault that was tried ended as it must."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    parser.add_argument("--only", choices=PARTS, help="only this part")
    parser.add_argument("--rows", type=Path, default=Path("runs/faults"), help="rows of all parts")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it there")
    arguments = parser.parse_args()
    with temporary_folder() as temporary:
        root = arguments.keep or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        folders = export(root / "data")
        for name in [arguments.only] if arguments.only else PARTS:
            place = root / name
            place.mkdir()
            before = data_digest(folders)
            rows = PARTS[name](place, folders)
            lost = data_lost(before, folders, sorted(place.rglob("cache-[0-9]*")))
            for row in rows:
                row.data_lost = lost
                row.as_it_must_be &= lost == NOTHING_LOST
            store(arguments.rows, name, rows)
            print(table(rows), flush=True)
    rows = stored(arguments.rows, PARTS)
    if arguments.write:
        write(rows)
    return int(not all(row.as_it_must_be for row in rows))


def connect(root: Path, folders: list[Path]) -> list[Row]:
    """Nodes that the SuperLink must not let in."""
    federation = Federation(root, folders)
    try:
        federation.start_superlink()
        federation.register("node-0")
        other = root / "other"
        federation.script("certificates.sh", other, "node-0")
        cases: tuple[tuple[str, Callable[[], Service]], ...] = (
            (
                "wrong CA at a node",
                lambda: federation.start_node("node-0", FEDMVP_CERTIFICATES=str(other)),
            ),
            (
                "a node that is not registered",
                lambda: federation.start_node("node-1", FEDMVP_NODE_HOST="127.0.0.1"),
            ),
            (
                "a registered name, another key",
                lambda: federation.start_node(
                    "node-0", FEDMVP_NODE_KEY=str(other / "nodes" / "node-0")
                ),
            ),
            ("`flower-supernode` without a key", lambda: keyless(federation)),
        )
        rows = [refused(fault, start) for fault, start in cases]
    finally:
        federation.stop()
    return rows


def refused(fault: str, start: Callable[[], Service]) -> Row:
    """The line of a node that the SuperLink must not let in.

    Args:
        fault: what is wrong with the node.
        start: starts it, without a restart policy.
    """
    began = time.monotonic()
    service = start()
    mark = len(service.text())
    try:
        wait_for(fault, lambda: service.code is not None, _REFUSED_TIMEOUT)
        said = last_reason(service.text()[mark:])
        seconds = time.monotonic() - began
        happened = f"refused after {seconds:.0f} s, exit status {service.code}: {said}"
        return Row(fault, happened, "0", "at once", service.code != 0)
    except TimeoutError:
        happened = f"not refused for {_REFUSED_TIMEOUT:.0f} s: {last_reason(service.text()[mark:])}"
        return Row(fault, happened, "0", "", False)
    finally:
        service.stop()


def keyless(federation: Federation) -> Service:
    """A SuperNode as Flower starts it where nobody asks for a key."""
    command = [
        "flower-supernode",
        *("--superlink", f"{HOST}:{federation.port}"),
        *("--root-certificates", str(federation.certificates / "ca.crt")),
        *("--host", HOST, "--port", str(free_port())),
    ]
    return Service("keyless", command, federation.env, federation.root / "keyless.log")


def misbehave(root: Path, folders: list[Path]) -> list[Row]:
    """One run; a node misbehaves in another way in every second round."""
    status, problems = rogue_run(root, folders, ROUND_OF, ROUNDS)
    out = root / "out"
    found = round_events(out)
    rows = [row_of(fault, found) for fault in PLAN]
    rows.append(row_of_evaluation(events(out)))
    said = f": {'; '.join(problems)}" if problems else ""
    lost = str(ROUNDS - len(found))
    rows.append(
        Row("all of these in one run", f"the run is {status}{said}", lost, "", not problems)
    )
    return rows


def duplicate(root: Path, folders: list[Path]) -> list[Row]:
    """A short run; a node announces its first reply twice."""
    _, problems = rogue_run(root, folders, {TWICE: 1}, _ROUNDS_OF_TWICE)
    row = row_of_twice(round_events(root / "out"), second_answer(root / ROGUE_CACHE))
    row.as_it_must_be &= not problems
    return [row]


def rogue_run(
    root: Path, folders: list[Path], plan: Mapping[str, int], rounds: int
) -> tuple[str, list[str]]:
    """Run with one node that misbehaves; return the run's status, and what is wrong with its end.

    Args:
        root: of the deployment.
        folders: the nodes' data.
        plan: by fault its round.
        rounds: how many there are.
    """
    rogue = {
        "PYTHONPATH": os.pathsep.join([str(ROGUE_FOLDER), str(REPOSITORY)]),
        "FEDMVP_ROGUE": " ".join(f"{n}:{fault}" for fault, n in plan.items()),
        "FEDMVP_ROGUE_SLEEP": str(1.5 * ROUND_TIMEOUT),
        "FEDMVP_ROGUE_EVALUATION": str(SPOILT),
    }
    federation = Federation(root, folders)
    federation.specs[ROGUE].env |= rogue
    out = root / "out"
    try:
        federation.start_superlink()
        federation.register(*federation.specs)
        for name in federation.specs:
            federation.start_node(name)
        config = settings(
            root,
            folders,
            num_server_rounds=rounds,
            evaluate_every=EVALUATED,
            round_timeout=ROUND_TIMEOUT,
        )
        status = federation.wait(federation.submit(config), out)
    finally:
        federation.stop()
    return status, completed(status, read_result(out), out, rounds)


def killed(root: Path, folders: list[Path]) -> list[Row]:
    """A node, then the SuperLink killed in the middle of a run: a scenario of the smoke test."""
    with deployed(root, folders) as federation:
        record, problems = kills(federation, folders)
    fine = not problems
    node = record["killed node: seconds until a round had it again"]
    went_on = record["killed node: seconds until the round went on"]
    without = record["killed node: rounds without it"]
    link = record["killed SuperLink: seconds until a round had all nodes"]
    resumed = record["resumed after"][0]
    lost = record["killed SuperLink: finished rounds"] - resumed
    said = f": {'; '.join(problems)}" if problems else ""
    return [
        Row(
            "a node is killed with SIGKILL while it trains",
            f"left out and named; the others went on after {went_on} s{said}",
            f"0 ({without} without its reply)",
            f"after {node} s, started again by its restart policy",
            fine,
        ),
        Row(
            "the SuperLink is killed with SIGKILL in the middle of a run",
            f"Flower ends the run as failed; a new one with `resume` went on after round {resumed} "
            f"and is {record['status']}{said}",
            f"{lost}, and the one under way",
            f"after {link} s a round of the resumed run had all nodes",
            fine and not lost,
        ),
    ]


def last_reason(text: str) -> str:
    """The last line of a log that says why."""
    lines = [line.strip() for line in _COLOURS.sub("", text).splitlines() if line.strip()]
    telling = [line for line in lines if "code:" in line or "CERTIFICATE" in line or "rror" in line]
    return (telling or lines or ["nothing"])[-1][:160]


PARTS: dict[str, Callable[[Path, list[Path]], list[Row]]] = {
    "connect": connect,
    "disk": disks,
    "prepare": preparations,
    "rounds": misbehave,
    "duplicate": duplicate,
    "killed": killed,
    "stopped": stopped,
}

if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
