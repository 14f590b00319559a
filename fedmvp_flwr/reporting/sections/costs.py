"""What the run cost: seconds per phase and round, bytes per message, replies that were lost."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from fedmvp_flwr.reporting.curves import round_bars, stacked_bars
from fedmvp_flwr.reporting.run_record import Event, RunRecord
from fedmvp_flwr.reporting.svg import Plot
from fedmvp_flwr.reporting.text import DASH, Table, duration, percent, size, title

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
    names = {client["partition-id"]: client.get("name") for client in run.clients}
    asked = [(e, f"Training, attempt {e['attempt']}") for e in run.failed_attempts]
    asked += [(event, "Training") for event in run.rounds]
    asked += [(event, "Evaluation") for event in run.rejected_evaluations]
    found = [
        [str(event["round"]), kind, _who(item["client"], names), item["reason"]]
        for event, kind in sorted(asked, key=lambda pair: pair[0]["round"])
        for item in event["rejected"]
    ]
    if not found:
        return None
    caption = "Replies that were left out of the average"
    if len(found) > _MOST_REJECTED:
        caption += f" (the first {_MOST_REJECTED} of {len(found)})"
    header = ["Round", "Asked for", "Client", "Reason"]
    return Table(caption, header, found[:_MOST_REJECTED], numeric=False)


def _who(client: int | None, names: Mapping[int | None, str | None]) -> str:
    """A client's key, and its name where it told one."""
    key = DASH if client is None else str(client)
    name = (names.get(client) or "")[:_LONGEST_NAME]
    return f"{key} ({name})" if name else key


def _phase_table(run: RunRecord) -> Table | None:
    if not run.phases:
        return None
    known = sum(value for value in run.phases.values() if value is not None)
    total = run.result.get("seconds", {}).get("total", known)
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
    rows.append(["Total", duration(total), percent(1.0, 0)])
    return Table("Wall time per phase", ["Phase", "Time", "Share"], rows)


def _client_seconds(clients: list[Event]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for client in clients:
        sums.update(client["seconds"])
    return sums


def _round_bars(rounds: list[Event]) -> Plot | None:
    if not rounds:
        return None
    shown = rounds[:: -(-len(rounds) // _MOST_ROUNDS)]
    parts = {name: [event["seconds"][key] for event in shown] for key, name in _STEPS.items()}
    means = ", ".join(f"{n} {duration(sum(v) / len(v))}" for n, v in parts.items())
    numbers = [event["round"] for event in shown]
    return round_bars(
        "rounds", f"Seconds per round, on average: {means}.", numbers, parts, "Seconds"
    )


def _traffic(rounds: list[Event]) -> Table | None:
    if not rounds:
        return None
    rows = []
    for key, name in _DIRECTIONS.items():
        whole_run = sum(event["bytes"][key] * len(event["clients"]) for event in rounds)
        largest = max(event["bytes"][key] for event in rounds)
        rows.append([name, size(largest), size(whole_run / len(rounds)), size(whole_run)])
    header = ["Direction", "Per client and round", "All clients of a round", "Whole run"]
    return Table("Bytes of the model messages", header, rows)
