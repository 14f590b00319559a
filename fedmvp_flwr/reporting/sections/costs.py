"""What the run cost: seconds per phase and round, bytes per message, replies that were lost."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedmvp_flwr.reporting.curves import round_bars, stacked_bars
from fedmvp_flwr.reporting.events import Event, RunRecord, mapping, number
from fedmvp_flwr.reporting.svg import Plot
from fedmvp_flwr.reporting.tables import Table
from fedmvp_flwr.reporting.text import DASH, duration, percent, size, title, whole

_STEPS = {"train": "Training at the clients", "aggregate": "Aggregation at the server"}
_DIRECTIONS = {"up": "Upload (client to server)", "down": "Download (server to client)"}
_PER_MESSAGE = {"up": "upload-per-client-round", "down": "download-per-client-round"}
_TOTAL = "total"
_MOST_ROUNDS = 100
_MOST_REJECTED = 200
_LONGEST_NAME = 80  # characters; a node calls itself what it likes


@dataclass(frozen=True)
class Costs:
    """Time and traffic of the run; a part is None where nothing is known about it."""

    phases: Table | None
    phase_bars: Plot | None
    round_bars: Plot | None
    traffic: Table | None


@dataclass(frozen=True)
class Rejected:
    """Replies that were left out.

    Attributes:
        rounds: number of rounds looked at.
        total: number of replies left out.
        table: round, what was asked for, client and reason; None where there are none.
    """

    rounds: int
    total: int
    table: Table | None


def build(run: RunRecord) -> Costs:
    """Collect time and traffic."""
    seconds = _phase_seconds(run)
    known = {name: value for name, value in seconds.items() if value is not None}
    bars = None
    if known:
        label = "Seconds per phase: " + ", ".join(f"{n} {duration(v)}" for n, v in known.items())
        rows = [title(name) for name in known]
        bars = stacked_bars("phases", f"{label}.", rows, {"": list(known.values())}, "Seconds")
    return Costs(_phase_table(run, seconds), bars, _round_bars(run.rounds), _traffic(run))


def rejected(run: RunRecord) -> Rejected:
    """Collect the replies that were left out: to trainings, failed ones too, and evaluations."""
    names = {number(client.get("partition-id")): client.get("name") for client in run.clients}
    asked = [(e, f"Training, attempt {whole(e.get('attempt'))}") for e in run.failed_attempts]
    asked += [(event, "Training") for event in run.rounds]
    asked += [(event, "Evaluation") for event in run.rejected_evaluations]
    found = [
        [whole(event["round"]), kind, _who(item, names), str(item.get("reason", ""))]
        for event, kind in sorted(asked, key=lambda pair: float(pair[0]["round"]))
        for item in event.get("rejected") or []
        if isinstance(item, dict)
    ]
    table = None
    if found:
        header = ["Round", "Asked for", "Client", "Reason"]
        caption = "Replies that were left out of the average"
        if len(found) > _MOST_REJECTED:
            caption += f" (the first {_MOST_REJECTED} of {len(found)})"
        table = Table(caption, header, found[:_MOST_REJECTED], numeric=False)
    return Rejected(len(run.rounds), len(found), table)


def _who(item: Event, names: Mapping[float | None, object]) -> str:
    """A client's key, and its name where it told one."""
    key = number(item.get("client"))
    name = str(names.get(key) or "")[:_LONGEST_NAME]
    return f"{whole(key)} ({name})" if name else whole(key)


def _phase_seconds(run: RunRecord) -> dict[str, float | None]:
    if run.phases:
        return dict(run.phases)
    measured = mapping(run.result.get("seconds"))
    return {name: number(value) for name, value in measured.items() if name != _TOTAL}


def _phase_table(run: RunRecord, seconds: dict[str, float | None]) -> Table | None:
    if not seconds:
        return None
    known = sum(value for value in seconds.values() if value is not None)
    total = number(mapping(run.result.get("seconds")).get(_TOTAL)) or known
    rows = [
        [
            title(name),
            "did not end" if value is None else duration(value),
            percent(value / total, 0) if value is not None and total else DASH,
        ]
        for name, value in seconds.items()
    ]
    rows += [
        [f"At the clients, summed: {name}", duration(value), DASH]
        for name, value in _client_seconds(run.clients).items()
    ]
    rows.append(["Total", duration(total), percent(1.0, 0) if total else DASH])
    return Table("Wall time per phase", ["Phase", "Time", "Share"], rows)


def _client_seconds(clients: list[Event]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for client in clients:
        for name, value in mapping(client.get("seconds")).items():
            sums[name] = sums.get(name, 0.0) + (number(value) or 0.0)
    return sums


def _round_bars(rounds: list[Event]) -> Plot | None:
    shown = rounds[:: max(-(-len(rounds) // _MOST_ROUNDS), 1)]
    parts = {
        name: [number(mapping(event.get("seconds")).get(key)) or 0.0 for event in shown]
        for key, name in _STEPS.items()
    }
    if not any(any(values) for values in parts.values()):
        return None
    means = ", ".join(f"{n} {duration(sum(v) / len(v))}" for n, v in parts.items())
    numbers = [round(event["round"]) for event in shown]
    return round_bars(
        "rounds", f"Seconds per round, on average: {means}.", numbers, parts, "Seconds"
    )


def _traffic(run: RunRecord) -> Table | None:
    rows = []
    for key, name in _DIRECTIONS.items():
        per_round = [
            (amount, len(event.get("clients") or []))
            for event in run.rounds
            if (amount := number(mapping(event.get("bytes")).get(key))) is not None
        ]
        largest = number(mapping(run.result.get("bytes")).get(_PER_MESSAGE[key]))
        if per_round:
            largest = largest or max(amount for amount, _ in per_round)
        elif largest is None:
            continue
        whole_run = sum(amount * clients for amount, clients in per_round)
        in_a_round = whole_run / len(per_round) if per_round else None
        rows.append([name, size(largest), size(in_a_round), size(whole_run or None)])
    header = ["Direction", "Per client and round", "All clients of a round", "Whole run"]
    return Table("Bytes of the model messages", header, rows) if rows else None
