"""What a node and the SuperLink send each other, taken apart: bodies, heads, TLS, connections."""

import json
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reliability.federation import REPOSITORY, Federation

TRACE_FOLDER = Path(__file__).parent / "trace"
_KINDS = ("body", "head")


@dataclass(frozen=True)
class Reading:
    """Counts of one node since its start, in bytes both ways.

    Attributes:
        wire: all that passed the proxy.
        connections: that the node opened.
        requests: lines of the trace so far.
    """

    wire: int
    connections: int
    requests: int


def trace(federation: Federation) -> None:
    """Let the nodes that start from now on write down their requests."""
    for name, spec in federation.specs.items():
        spec.env["PYTHONPATH"] = os.pathsep.join([str(TRACE_FOLDER), str(REPOSITORY)])
        spec.env["FEDMVP_TRACE"] = str(trace_file(federation, name))


def trace_file(federation: Federation, name: str) -> Path:
    """Where a node writes its requests."""
    return federation.root / f"trace-{name}.jsonl"


def requests(federation: Federation, name: str) -> list[dict[str, Any]]:
    """The requests of a node so far."""
    found = []
    with suppress(FileNotFoundError):
        for line in trace_file(federation, name).read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
    return found


def read(federation: Federation) -> dict[str, Reading]:
    """The counts of every node now."""
    return {
        name: Reading(
            spec.proxy.sent + spec.proxy.received,
            spec.proxy.connections,
            len(requests(federation, name)),
        )
        for name, spec in federation.specs.items()
    }


def between(federation: Federation, name: str, first: Reading, last: Reading) -> dict[str, Any]:
    """What a node and the SuperLink sent each other between two readings.

    Returns:
        Bytes on the wire, of bodies and of heads of HTTP, and the rest, which is TLS; the numbers
        of connections opened and of requests by their kind.
    """
    lines = requests(federation, name)[first.requests : last.requests]
    parts = {kind: sum(line[kind] for line in lines) for kind in _KINDS}
    wire = last.wire - first.wire
    return {
        "wire": wire,
        **parts,
        "tls": wire - sum(parts.values()),
        "connections": last.connections - first.connections,
        "requests": dict(Counter(line["call"] for line in lines).most_common()),
    }
