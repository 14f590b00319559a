"""What the run cost: seconds per phase and round, bytes per message, replies that were lost."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from fedmvp_flwr.reporting.curves import round_bars, stacked_bars
from fedmvp_flwr.reporting.events import Event, RunRecord, mapping, number
from fedmvp_flwr.reporting.svg import Plot
from fedmvp_flwr.reporting.text import DASH, Table, duration, percent, size, title, whole

_STEPS = {"train": "Training at the clients", "aggregate": "Aggregation at the server"}
_DIRECTIONS = {"up": "Upload (client to server)", "down": "Download (server to client)"}
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


def build(run: RunRecord) -> Costs:
    """Collect time and traffic."""
    known = {name: value for name, value in run.phases.items() if value is not None}
    bars = None
    if known:
        label = "Seconds per phase: " + ", ".join(f"{n} {duration(v)}" for n, v in known.items())
        rows = [title(name) for name in known]
        bars = stacked_bars("phases", f"{label}.", rows, {"": list(known.values())}, "Seconds")
    return Costs(_phase_table(run), bars, _round_bars(run.rounds), _traffic(run.rounds))


def rejected(run: RunRecord) -> Table | None:
    """Replies that were left out: to trainings, failed ones too, and evaluations."""
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
    if not found:
        return None
    caption = "Replies that were left out of the average"
    if len(found) > _MOST_REJECTED:
        caption += f" (the first {_MOST_REJECTED} of {len(found)})"
    header = ["Round", "Asked for", "Client", "Reason"]
    return Table(caption, header, found[:_MOST_REJECTED], numeric=False)


def _who(item: Event, names: Mapping[float | None, object]) -> str:
    """A client's key, and its name where it told one."""
    key = number(item.get("client"))
    name = str(names.get(key) or "")[:_LONGEST_NAME]
    return f"{whole(key)} ({name})" if name else whole(key)


def _phase_table(run: RunRecord) -> Table | None:
    if not run.phases:
        return None
    known = sum(value for value in run.phases.values() if value is not None)
    total = number(mapping(run.result.get("seconds")).get("total")) or known
    rows = [
        [
            title(name),
            "did not end" if value is None else duration(value),
            percent(value / total, 0) if value is not None and total else DASH,
        ]
        for name, value in run.phases.items()
    ]
    rows += [
        [f"At the clients, summed: {name}", duration(value), DASH]
        for name, value in _client_seconds(run.clients).items()
    ]
    rows.append(["Total", duration(total), percent(1.0, 0) if total else DASH])
    return Table("Wall time per phase", ["Phase", "Time", "Share"], rows)


def _client_seconds(clients: list[Event]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for client in clients:
        sums.update({n: number(s) or 0.0 for n, s in mapping(client.get("seconds")).items()})
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


def _traffic(rounds: list[Event]) -> Table | None:
    rows = []
    for key, name in _DIRECTIONS.items():
        per_round = [
            (amount, len(event.get("clients") or []))
            for event in rounds
            if (amount := number(mapping(event.get("bytes")).get(key))) is not None
        ]
        if per_round:
            whole_run = sum(amount * clients for amount, clients in per_round)
            largest = max(amount for amount, _ in per_round)
            rows.append([name, size(largest), size(whole_run / len(per_round)), size(whole_run)])
    header = ["Direction", "Per client and round", "All clients of a round", "Whole run"]
    return Table("Bytes of the model messages", header, rows) if rows else None
