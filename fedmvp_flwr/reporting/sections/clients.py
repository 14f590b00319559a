"""What the clients hold: complete pairs, holes, what filled them, and which classes."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from fedmvp_flwr.reporting.curves import stacked_bars
from fedmvp_flwr.reporting.heatmaps import heat_map, one_sided
from fedmvp_flwr.reporting.run_record import Event, RunRecord
from fedmvp_flwr.reporting.svg import Plot
from fedmvp_flwr.reporting.text import DASH, Table, count, decimal, percent, plural

_COUNTED = ("missing", "completions")
_COLUMNS = ("missing", "completed", "accepted", "rejected")
_MOST_CLIENTS = 60  # rows of a drawing or table; the totals still count every client
_MOST_NUMBERED = 40  # classes; with more the cells hold no numbers
_MAP_WIDTH = 9.0  # inches


@dataclass(frozen=True)
class Clients:
    """What the clients hold, in words, drawings and numbers; `shown` of `total` are drawn."""

    sentences: list[str]
    missing: Plot
    completed: Plot | None
    labels: Plot
    classes: Plot | None
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
        _classes(run.clients, run.class_names),
        _table(shown, run.clients),
        len(shown),
        len(run.clients),
    )


def _modalities(clients: list[Event]) -> list[str]:
    return sorted({m for c in clients for key in _COUNTED for m in c.get(key, {})})


def _total(clients: list[Event], key: str) -> int:
    return sum(client[key] for client in clients)


def _holes(clients: list[Event], modality: str) -> Counter[str]:
    """How many samples lack a modality, and what became of that."""
    holes: Counter[str] = Counter()
    for client in clients:
        found = Counter(client["completions"].get(modality, {}))
        filled = found["made"] + found["reused"]
        holes.update(
            found,
            missing=client.get("missing", {}).get(modality, 0),
            completed=filled,
            accepted=filled - found["rejected"],
        )
    return holes


def _sentences(clients: list[Event]) -> list[str]:
    total, pairs = _total(clients, "samples"), _total(clients, "complete")
    if not total:
        return []
    sentences = [
        f"{plural(len(clients), 'client')} hold {plural(total, 'training sample')}; "
        f"{count(pairs)} ({percent(pairs / total, 0)}) are complete."
    ]
    for name in _modalities(clients):
        holes = _holes(clients, name)
        sentence = f"{plural(holes['missing'], 'sample')} lack the {name}"
        if holes["completed"]:
            sentence += (
                f"; {count(holes['completed'])} of these holes were completed "
                f"({count(holes['made'])} generated in this run, {count(holes['reused'])} taken "
                f"from the store). The quality gate accepted {count(holes['accepted'])} and "
                f"rejected {count(holes['rejected'])}, which stay holes"
            )
        sentences.append(sentence + ".")
    return sentences


def _missing(clients: list[Event]) -> Plot:
    parts = {"Complete": [float(c["complete"]) for c in clients]}
    for name in _modalities(clients):
        lacking = [float(_holes([client], name)["missing"]) for client in clients]
        parts[f"{name.capitalize()} missing"] = lacking
    ratios = [1 - c["complete"] / c["samples"] for c in clients if c["samples"]]
    label = "Training samples per client: complete, and lacking a modality."
    if ratios:
        label += f" From {percent(min(ratios), 0)} to {percent(max(ratios), 0)} incomplete."
    return stacked_bars("missing", label, _names(clients), parts, "Training samples", "Client")


def _completed(clients: list[Event]) -> Plot | None:
    modalities = _modalities(clients)
    parts = {
        f"{name.capitalize()}: accepted": [
            float(_holes([client], name)["accepted"]) for client in clients
        ]
        for name in modalities
    }
    parts["Rejected"] = [
        float(sum(_holes([client], name)["rejected"] for name in modalities)) for client in clients
    ]
    if not any(any(values) for values in parts.values()):
        return None
    totals = ", ".join(f"{part} {count(sum(values))}" for part, values in parts.items())
    label = f"Completions per client. In all: {totals}."
    return stacked_bars("completed", label, _names(clients), parts, "Completed holes", "Client")


def _labels(clients: list[Event], class_names: list[str]) -> Plot:
    width = len(class_names)
    values = np.zeros((len(clients), width))
    for row, client in zip(values, clients, strict=True):
        counts = client["labels"][:width]  # of any length: a node says what it likes
        row[: len(counts)] = counts
    return heat_map(
        "labels",
        f"Training samples per client and class, at most {count(float(values.max()))}.",
        values,
        one_sided(values, 0.0, float(values.max()) or 1.0),
        _names(clients),
        class_names,
        axis_labels=("Client", "Class"),
        text=_count_or_nothing if width <= _MOST_NUMBERED else None,
        cell=max(_MAP_WIDTH / max(width, 24), 0.1),
        upright=True,
    )


def _classes(clients: list[Event], class_names: list[str]) -> Plot | None:
    """How many samples of each class really have an image, and a text; grey: nobody has any."""
    told = [client["real"] for client in clients if "real" in client]
    if not told:
        return None
    modalities, width = sorted(told[0]), len(class_names)
    values = np.array([np.sum([real[m] for real in told], axis=0) for m in modalities], float)
    most, nobody = float(values.max()), int((values == 0).sum())
    values[values == 0] = np.nan
    label = f"Training samples of all clients that really have a modality, at most {count(most)}."
    if nobody:
        label += f" {plural(nobody, 'pair')} of class and modality: nobody has any."
    return heat_map(
        "classes",
        label,
        values,
        one_sided(values, 0.0, most or 1.0),
        [name.capitalize() for name in modalities],
        class_names,
        axis_labels=("Modality", "Class"),
        text=_count_or_nothing if width <= _MOST_NUMBERED else None,
        cell=max(_MAP_WIDTH / max(width, 24), 0.1),
        upright=True,
    )


def _count_or_nothing(value: float) -> str:
    return f"{value:.0f}" if value else ""


def _table(shown: list[Event], every: list[Event]) -> Table:
    modalities = _modalities(every)
    header = ["Client", "Samples", "Complete"]
    header += [f"{name.capitalize()}: {what}" for name in modalities for what in _COLUMNS]
    header.append("Gate threshold")
    rows = [
        [name, *_cells([client], modalities), decimal(client["gate-threshold"])]
        for name, client in zip(_names(shown), shown, strict=True)
    ]
    rows.append(["All", *_cells(every, modalities), DASH])
    return Table("Samples, holes and completions per client", header, rows)


def _cells(clients: list[Event], modalities: list[str]) -> list[str]:
    cells = [_total(clients, key) for key in ("samples", "complete")]
    for name in modalities:
        holes = _holes(clients, name)
        cells += [holes[column] for column in _COLUMNS]
    return [count(value) for value in cells]


def _names(clients: list[Event]) -> list[str]:
    return [str(client["partition-id"]) for client in clients]
