"""How a run of a deployment ended, and whether it stayed within the limits."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from reliability.federation import Federation, rounds

MEMORY_LIMIT = 1.5 * 2**30  # bytes, a SuperNode with its ClientApp
SECONDS_LIMIT = 180.0  # from the SuperLink's start to the end of a run of three rounds
_16_BIT = 2  # bytes
_TRAFFIC_ALLOWANCE = 64_000  # bytes of a round besides the arrays


def read_result(out: Path) -> dict[str, Any]:
    """`result.json`, empty where there is none."""
    path = out / "result.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


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


def newest_checkpoint(out: Path) -> int:
    """The number of the last finished round; 0 if there is none."""
    found = (out / "checkpoints").glob("round-*.safetensors")
    return max((int(path.stem.removeprefix("round-")) for path in found), default=0)


def arrays_bytes(out: Path) -> int:
    """Bytes that the trained arrays of a run have in 16 bit; 0 where there are none."""
    path = out / "model.safetensors"
    return _16_BIT * sum(t.numel() for t in load_file(path).values()) if path.exists() else 0


def traffic_limit(out: Path) -> int:
    """Bytes that a node may send and receive in a round: the arrays twice, and an allowance."""
    return 2 * arrays_bytes(out) + _TRAFFIC_ALLOWANCE


def excess(federation: Federation, out: Path, traffic: dict[str, dict[str, Any]]) -> list[str]:
    """What took more than it may: traffic of a round by node, memory of a node."""
    problems, limit = [], traffic_limit(out)
    for name, parts in traffic.items():
        if parts["wire"] > limit:
            problems.append(
                f"{name} sent and received {parts['wire']} bytes in a round, limit {limit}"
            )
    for name, service in federation.nodes.items():
        if service.peak_bytes > MEMORY_LIMIT:
            problems.append(f"{name} took {service.peak_bytes} bytes, limit {MEMORY_LIMIT:.0f}")
    return problems
