"""From the files that a run left behind to one record of it, whatever is missing."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import ReportError
from fedmvp_flwr.base.jsonl import read_events
from fedmvp_flwr.base.run_folder import RunFolder

Event = dict[str, Any]


@dataclass(frozen=True)
class RunRecord:
    """One run, as far as it came.

    Attributes:
        status: `completed`, `failed` or `unfinished`.
        reason: why it failed, or empty.
        config: run-config keys and values.
        versions: version of each library.
        hashes: hash of each record (split, masks, probe, code).
        class_names: in the order of the class indices.
        clients: `client` events in the order of the partition ids.
        rounds: `round` events in the order of the rounds.
        server_scores: `evaluation` events of the server, in the order of the rounds.
        client_scores: those of the clients.
        rejected_evaluations: `evaluation-rejected` events in the order of the rounds.
        failed_attempts: `round-failed` events, of rounds that were trained again, as they came.
        phases: seconds of each phase in the order of their start; None where it did not end.
        result: content of `result.json`; empty where there is none of this run.
        started: UTC time of the first event, ISO 8601, or empty.
        ended: that of the last event.
    """

    status: str = "unfinished"
    reason: str = ""
    config: Event = field(default_factory=dict)
    versions: Event = field(default_factory=dict)
    hashes: Event = field(default_factory=dict)
    class_names: list[str] = field(default_factory=list)
    clients: list[Event] = field(default_factory=list)
    rounds: list[Event] = field(default_factory=list)
    server_scores: list[Event] = field(default_factory=list)
    client_scores: list[Event] = field(default_factory=list)
    rejected_evaluations: list[Event] = field(default_factory=list)
    failed_attempts: list[Event] = field(default_factory=list)
    phases: dict[str, float | None] = field(default_factory=dict)
    result: Event = field(default_factory=dict)
    started: str = ""
    ended: str = ""


def load_run(out_dir: Path) -> RunRecord:
    """Read the last run in a folder.

    A `result.json` counts only if the events say that the run has ended: until then it is the
    one of an earlier run in the same folder.

    Raises:
        ReportError: the folder holds no run, or a file of it is damaged.
    """
    folder = RunFolder(out_dir)
    metrics, results = folder.metrics, folder.result
    if not metrics.exists():
        raise ReportError(
            f"{out_dir} holds no run: expected {metrics.name}. Give the folder that the run wrote "
            "to (out-dir)."
        )
    events = read_events(metrics)
    starts = [index for index, event in enumerate(events) if event.get("event") == "run-start"]
    events = events[starts[-1] :] if starts else events
    ended = bool(_named(events, "run-end"))
    return collect(events, read_json(results) if ended and results.exists() else {})


def collect(events: list[Event], result: Mapping[str, Any]) -> RunRecord:
    """Sort the events of one run by their kind; unknown ones are left out."""
    start = next(iter(_named(events, "run-start")), {})
    end = next(reversed(_named(events, "run-end")), {})
    evaluations = _named(events, "evaluation")
    at_server = [event for event in evaluations if event["where"] == "server"]
    at_clients = [event for event in evaluations if event["where"] == "clients"]
    return RunRecord(
        status=end.get("status", "unfinished"),
        reason=end.get("reason", ""),
        config={**start.get("config", {}), **result.get("config", {})},
        versions={**start.get("versions", {}), **result.get("versions", {})},
        hashes=result.get("hashes", {}),
        class_names=start.get("class-names", []),
        clients=_ordered(_named(events, "client"), "partition-id"),
        rounds=_ordered(_named(events, "round"), "round"),
        server_scores=_ordered(at_server, "round"),
        client_scores=_ordered(at_clients, "round"),
        rejected_evaluations=_ordered(_named(events, "evaluation-rejected"), "round"),
        failed_attempts=_named(events, "round-failed"),
        phases=_phases(_named(events, "phase")),
        result=dict(result),
        started=events[0].get("time", "") if events else "",
        ended=events[-1].get("time", "") if events else "",
    )


def read_json(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """Read a JSON file.

    Raises:
        ReportError: the file cannot be read or is no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ReportError(f"{path} is damaged, it is no JSON ({error}). Delete it.") from error


def _named(events: Iterable[Event], name: str) -> list[Event]:
    return [event for event in events if event.get("event") == name]


def _ordered(events: list[Event], key: str) -> list[Event]:
    by_number = {event[key]: event for event in events}
    return [by_number[number] for number in sorted(by_number)]


def _phases(events: list[Event]) -> dict[str, float | None]:
    phases: dict[str, float | None] = {}
    for event in events:
        if event["status"] == "end":
            phases[event["name"]] = event["seconds"]
        else:
            phases.setdefault(event["name"], None)
    return phases
