"""`make deploy-test`: three nodes with TLS and authentication, a killed node, a killed SuperLink.

Purpose: what a deployment must survive, and what it costs. Command: `python -m reliability.smoke`.
It prints a JSON record, and ends with 1 if something is not as it must be.
"""

import argparse
import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from safetensors.torch import load_file

from reliability.federation import (
    Federation,
    deployed,
    ended,
    events,
    rounds,
    temporary_folder,
)
from reliability.flora import export, settings
from reliability.processes import session, wait_for
from reliability.traffic import between, read, trace

_ROUNDS = 12  # of the run with faults: more than pass until a killed node is back
_EVENT_TIMEOUT = 1500.0  # seconds for a round; generous, for machines that are busy
_KILLED_NODE = "node-2"
_16_BIT = 2  # bytes
_TRAFFIC_ALLOWANCE = 64_000  # bytes of a round besides the arrays
_MEMORY_LIMIT = 1.5 * 2**30  # bytes, a SuperNode with its ClientApp


def main() -> int:
    """Run the scenarios that are asked for; 0 if all went as it must."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=sorted(SCENARIOS), help="only this scenario")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it there")
    arguments = parser.parse_args()
    names = [arguments.only] if arguments.only else list(SCENARIOS)
    with temporary_folder() as temporary:
        root = arguments.keep or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        folders = export(root / "data")
        record, problems = {}, []
        for name in names:
            place = root / name
            place.mkdir()
            with deployed(place, folders, trace) as federation:
                record[name], found = SCENARIOS[name](federation, folders)
            problems += [f"{name}: {problem}" for problem in found]
    print(json.dumps(record | {"problems": problems}, indent=2))
    return int(bool(problems))


def undisturbed(federation: Federation, folders: list[Path]) -> tuple[dict[str, Any], list[str]]:
    """Three rounds without a fault: seconds from the SuperLink's start, traffic and memory."""
    config = settings(federation.root, folders)
    run_id = federation.submit(config)
    out = federation.root / "out"
    readings = []
    for number in (1, 2, 3):
        wait_for(f"round {number}", lambda n=number: reached(out, n), _EVENT_TIMEOUT)
        readings.append(read(federation))
    status = federation.wait(run_id, out)
    seconds = time.monotonic() - federation.up_at
    result = read_result(out)
    size = arrays_bytes(out)
    # From round 2 to round 3: no preparation and no evaluation in between.
    _, second, third = readings
    per_round = {n: between(federation, n, second[n], third[n]) for n in federation.specs}
    start = {name: reading.wire for name, reading in readings[0].items()}
    memory = {name: service.peak_bytes for name, service in federation.nodes.items()}
    problems = completed(status, result, out, 3)
    limit = 2 * size + _TRAFFIC_ALLOWANCE
    most = max(traffic["wire"] for traffic in per_round.values())
    if most > limit:
        problems.append(f"a node sent and received {most} bytes in a round, limit {limit}")
    if max(memory.values()) > _MEMORY_LIMIT:
        problems.append(f"a node took {memory} bytes, limit {_MEMORY_LIMIT:.0f}")
    record = {
        "seconds from up": round(seconds, 1),
        "status": status,
        "arrays in 16 bit": size,
        "arrays on the wire": result.get("bytes", {}),
        "traffic of a round": per_round,
        "limit of a round": limit,
        "traffic until the end of round 1": start,
        "peak-bytes-of-a-node": memory,
        "peak-bytes-of-the-superlink": federation.superlink.peak_bytes,
        "round-seconds": [e["seconds"]["train"] for e in events(out) if e["event"] == "round"],
    }
    return record, problems


def faults(federation: Federation, folders: list[Path]) -> tuple[dict[str, Any], list[str]]:
    """Kill a node while it trains, then the SuperLink; restart, resume, finish."""
    out = federation.root / "out"
    config = settings(federation.root, folders, num_server_rounds=_ROUNDS, evaluate_every=_ROUNDS)
    run_id = federation.submit(config)
    wait_for("round 1", lambda: rounds(out), _EVENT_TIMEOUT)
    node = federation.nodes[_KILLED_NODE]
    wait_for("a ClientApp that trains", lambda: trains(node.pid), _EVENT_TIMEOUT, poll=0.1)
    node.kill()
    killed_at = time.monotonic()
    wait_for("round 2 without the killed node", lambda: 2 in rounds(out), _EVENT_TIMEOUT)
    round_lost_after = time.monotonic() - killed_at
    wait_for("the killed node's return", lambda: online(federation) == 3, _EVENT_TIMEOUT, 5.0)
    node_back_after = time.monotonic() - killed_at

    wait_for("the checkpoint of round 2", lambda: checkpoint(out, 2), _EVENT_TIMEOUT)
    federation.superlink.kill(restart=False)
    done_before = rounds(out)
    killed_at = time.monotonic()
    federation.start_superlink()
    superlink_back_after = time.monotonic() - killed_at
    second = federation.submit(config | {"resume": str(out)})
    # Flower's list counts nodes as online by its database; in a round they have answered.
    wait_for("a round with all nodes", lambda: whole_after(out, done_before) or ended(out), 3000.0)
    nodes_back_after = time.monotonic() - killed_at
    status = federation.wait(second, out)
    first_status = federation.status(run_id)  # a restarted SuperLink takes a while to notice
    result = read_result(out)
    problems = completed(status, result, out, _ROUNDS)
    if not whole_after(out, done_before):
        problems.append("no round after the restart has all nodes")
    if not first_status.startswith("finished:failed"):
        problems.append(f"the interrupted run is '{first_status}', expected finished:failed")
    resumed = [event["after-round"] for event in events(out) if event["event"] == "run-resume"]
    if len(resumed) != 1 or resumed[0] < 2:
        problems.append(f"resumed after rounds {resumed}, expected one, 2 or later")
    for event in (event for event in events(out) if event["event"] == "round"):
        if len(event["clients"]) < 2:
            problems.append(f"round {event['round']} has the clients {event['clients']} alone")
    return {
        "killed node: seconds until the round went on": round(round_lost_after, 1),
        "killed node: seconds until it was back": round(node_back_after, 1),
        "killed node: starts": node.starts,
        "killed SuperLink: seconds until healthy": round(superlink_back_after, 1),
        "killed SuperLink: seconds until a round had all nodes": round(nodes_back_after, 1),
        "rounds before": done_before,
        "resumed after": resumed,
        "clients by round": {
            e["round"]: e["clients"] for e in events(out) if e["event"] == "round"
        },
        "status": status,
    }, problems


def whole_after(out: Path, before: list[int]) -> bool:
    """Whether a round besides those of `before` had all three nodes."""
    found = [event for event in events(out) if event["event"] == "round"]
    return any(len(e["clients"]) == 3 for e in found if e["round"] not in before)


def completed(status: str, result: dict[str, Any], out: Path, last: int) -> list[str]:
    """What is wrong with the end of a run that must have completed."""
    problems = []
    if not status.startswith("finished:completed"):
        problems.append(f"the run is '{status}'")
    if result.get("status") != "completed":
        problems.append(f"result.json says {result.get('status')}: {result.get('reason')}")
    if rounds(out) != list(range(1, last + 1)):
        problems.append(f"the rounds in metrics.jsonl are {rounds(out)}")
    return problems


def arrays_bytes(out: Path) -> int:
    """Bytes that the trained arrays of a run have in 16 bit; 0 where there are none."""
    path = out / "model.safetensors"
    return _16_BIT * sum(t.numel() for t in load_file(path).values()) if path.exists() else 0


def reached(out: Path, number: int) -> bool:
    """Whether a round was trained, or never will be."""
    return number in rounds(out) or any(event["event"] == "run-end" for event in events(out))


def read_result(out: Path) -> dict[str, Any]:
    """`result.json`, empty where there is none."""
    path = out / "result.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def online(federation: Federation) -> int:
    """Number of nodes that the SuperLink counts as online."""
    nodes = federation.flwr("supernode", "list", "fedmvp").get("nodes", [])
    return sum(node["status"] == "online" for node in nodes)


def trains(leader: int) -> bool:
    """Whether a ClientApp runs in the session of a SuperNode."""
    for pid in session(leader):
        with suppress(psutil.NoSuchProcess):
            if any("flwr-clientapp" in word for word in psutil.Process(pid).cmdline()):
                return True
    return False


def checkpoint(out: Path, number: int) -> bool:
    """Whether the checkpoint of a round is there."""
    return (out / "checkpoints" / f"round-{number:05d}.safetensors").is_file()


SCENARIOS = {"undisturbed": undisturbed, "faults": faults}

if __name__ == "__main__":
    sys.exit(main())
