"""`make deploy-test`: three nodes with TLS and authentication, a killed node, a killed SuperLink.

Purpose: what a deployment must survive, and what it costs. Command: `python -m reliability.smoke`.
It prints a JSON record, and ends with 1 if something is not as it must be.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from reliability.equality import interrupted
from reliability.federation import Federation, deployed, events, rounds, temporary_folder
from reliability.flora import export, settings
from reliability.kills import kills
from reliability.outcome import (
    SECONDS_LIMIT,
    arrays_bytes,
    completed,
    excess,
    read_result,
    traffic_limit,
)
from reliability.processes import end_on_sigterm, wait_for
from reliability.traffic import between, read, trace

_EVENT_TIMEOUT = 600.0  # seconds for a round; generous, for machines that are busy


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
    # From round 2 to round 3: no preparation and no evaluation in between.
    _, second, third = readings
    per_round = {n: between(federation, n, second[n], third[n]) for n in federation.specs}
    start = {name: reading.wire for name, reading in readings[0].items()}
    memory = {name: service.peak_bytes for name, service in federation.nodes.items()}
    problems = completed(status, result, out, 3) + excess(federation, out, per_round)
    record = {
        "seconds from up": round(seconds, 1),
        "within the limit of seconds": seconds <= SECONDS_LIMIT,  # of 2 free cores: no failure
        "status": status,
        "arrays in 16 bit": arrays_bytes(out),
        "arrays on the wire": result.get("bytes", {}),
        "traffic of a round": per_round,
        "limit of a round": traffic_limit(out),
        "traffic until the end of round 1": start,
        "peak-bytes-of-a-node": memory,
        "peak-bytes-of-the-superlink": federation.superlink.peak_bytes,
        "round-seconds": [e["seconds"]["train"] for e in events(out) if e["event"] == "round"],
    }
    return record, problems


def reached(out: Path, number: int) -> bool:
    """Whether a round was trained, or never will be."""
    return number in rounds(out) or any(event["event"] == "run-end" for event in events(out))


SCENARIOS = {"undisturbed": undisturbed, "faults": kills, "interrupted": interrupted}

if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
