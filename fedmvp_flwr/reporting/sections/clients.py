"""What the clients hold: complete pairs, holes, what filled them, and which classes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fedmvp_flwr.reporting.curves import stacked_bars
from fedmvp_flwr.reporting.events import Event, RunRecord, mapping, number, numbers
from fedmvp_flwr.reporting.heatmaps import heat_map, one_sided
from fedmvp_flwr.reporting.svg import Plot
from fedmvp_flwr.reporting.tables import Table
from fedmvp_flwr.reporting.text import DASH, count, decimal, percent, plural, whole

_COUNTED = ("missing", "completions")
_COLUMNS = ("missing", "completed", "accepted", "rejected")
_MOST_CLIENTS = 60  # rows of a drawing or table; the totals still count every client
_MOST_NUMBERED = 40  # classes; with more the cells hold no numbers
_MAP_WIDTH = 9.0  # inches


@dataclass(frozen=True)
class Clients:
    """The clients' data.

    Attributes:
        sentences: totals in words.
        missing: complete and incomplete samples per client.
        completed: accepted and rejected completions per client; None where there are none.
        labels: samples per client and class; None where the labels are unknown.
        table: samples, holes and completions per client.
        shown: number of clients that are drawn.
        total: number of clients.
    """

    sentences: list[str]
    missing: Plot
    completed: Plot | None
    labels: Plot | None
    table: Table
    shown: int
    total: int


def build(run: RunRecord) -> Clients | None:
    """Describe the clients; None where none has reported."""
    if not run.clients:
        return None
    shown = run.clients[:_MOST_CLIENTS]
    return Clients(
        _sentences(run.clients),
        _missing(shown),
        _completed(shown),
        _labels(shown, run.class_names),
        _table(shown, run.clients),
        len(shown),
        len(run.clients),
    )


def modalities(clients: list[Event]) -> list[str]:
    """Names of the modalities that the clients report on, sorted."""
    return sorted({name for c in clients for key in _COUNTED for name in mapping(c.get(key))})


def completed(client: Event, modality: str, name: str) -> int:
    """A client's completions of one modality that were `made`, `reused` or `rejected`."""
    counts = mapping(mapping(client.get("completions")).get(modality))
    return round(number(counts.get(name)) or 0)


def _filled(client: Event, modality: str) -> int:
    return completed(client, modality, "made") + completed(client, modality, "reused")


def _lacking(client: Event, modality: str) -> int:
    return round(number(mapping(client.get("missing")).get(modality)) or 0)


def _samples(client: Event, key: str) -> int:
    return round(number(client.get(key)) or 0)


def _sentences(clients: list[Event]) -> list[str]:
    total = _sum(clients, _samples, "samples")
    whole_pairs = _sum(clients, _samples, "complete")
    if not total:
        return []
    sentences = [
        f"{plural(len(clients), 'client')} hold {plural(total, 'training sample')}; "
        f"{count(whole_pairs)} ({percent(whole_pairs / total, 0)}) are complete."
    ]
    for name in modalities(clients):
        lacking = _sum(clients, _lacking, name)
        filled = _sum(clients, _filled, name)
        reused = _sum(clients, completed, name, "reused")
        rejected = _sum(clients, completed, name, "rejected")
        sentence = f"{plural(lacking, 'sample')} lack the {name}"
        if filled:
            sentence += (
                f"; {count(filled)} of these holes were completed ({count(filled - reused)} "
                f"generated in this run, {count(reused)} taken from the store). The quality gate "
                f"accepted {count(filled - rejected)} and rejected {count(rejected)}, which stay "
                "holes"
            )
        sentences.append(sentence + ".")
    return sentences


def _missing(clients: list[Event]) -> Plot:
    names = modalities(clients)
    parts = {"Complete": [float(_samples(c, "complete")) for c in clients]}
    for name in names:
        parts[f"{name.capitalize()} missing"] = [float(_lacking(c, name)) for c in clients]
    ratios = [
        1 - _samples(c, "complete") / _samples(c, "samples")
        for c in clients
        if _samples(c, "samples")
    ]
    spread = (
        f" From {percent(min(ratios), 0)} to {percent(max(ratios), 0)} incomplete."
        if ratios
        else ""
    )
    return stacked_bars(
        "missing",
        f"Training samples per client: complete, and lacking a modality.{spread}",
        [whole(c.get("partition-id")) for c in clients],
        parts,
        "Training samples",
        "Client",
    )


def _completed(clients: list[Event]) -> Plot | None:
    names = modalities(clients)
    parts = {
        f"{name.capitalize()}: accepted": [
            float(_filled(c, name) - completed(c, name, "rejected")) for c in clients
        ]
        for name in names
    }
    parts["Rejected"] = [
        float(sum(completed(c, name, "rejected") for name in names)) for c in clients
    ]
    if not any(any(values) for values in parts.values()):
        return None
    totals = ", ".join(f"{part} {count(sum(values))}" for part, values in parts.items())
    rows = [whole(c.get("partition-id")) for c in clients]
    label = f"Completions per client. In all: {totals}."
    return stacked_bars("completed", label, rows, parts, "Completed holes", "Client")


def _labels(clients: list[Event], class_names: list[str]) -> Plot | None:
    rows = [numbers(c.get("labels")) for c in clients]
    width = max((len(row) for row in rows if row), default=0)
    if not width:
        return None
    values = np.full((len(rows), width), np.nan)
    for index, row in enumerate(rows):
        if row:
            values[index, : len(row)] = row
    names = [class_names[i] if i < len(class_names) else str(i) for i in range(width)]
    return heat_map(
        "labels",
        f"Training samples per client and class, at most {count(float(np.nanmax(values)))}.",
        values,
        one_sided(values, 0.0, float(np.nanmax(values)) or 1.0),
        [whole(c.get("partition-id")) for c in clients],
        names,
        axis_labels=("Client", "Class"),
        text=_count_or_nothing if width <= _MOST_NUMBERED else None,
        cell=max(_MAP_WIDTH / max(width, 24), 0.1),
        upright=True,
    )


def _count_or_nothing(value: float) -> str:
    return f"{value:.0f}" if value else ""


def _table(shown: list[Event], every: list[Event]) -> Table:
    names = modalities(every)
    header = ["Client", "Samples", "Complete"]
    for name in names:
        header += [f"{name.capitalize()}: {what}" for what in _COLUMNS]
    header.append("Gate threshold")
    rows = [
        [whole(c.get("partition-id")), *_cells([c], names), decimal(c.get("gate-threshold"))]
        for c in shown
    ]
    rows.append(["All", *_cells(every, names), DASH])
    return Table("Samples, holes and completions per client", header, rows)


def _cells(clients: list[Event], names: list[str]) -> list[str]:
    cells = [_sum(clients, _samples, key) for key in ("samples", "complete")]
    for name in names:
        filled = _sum(clients, _filled, name)
        rejected = _sum(clients, completed, name, "rejected")
        lacking = _sum(clients, _lacking, name)
        cells += [lacking, filled, filled - rejected, rejected]
    return [count(value) for value in cells]


def _sum(clients: list[Event], value: Callable[..., int], *arguments: str) -> int:
    return sum(value(client, *arguments) for client in clients)
