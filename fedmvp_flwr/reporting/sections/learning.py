"""How the model learned: accuracy per condition, and the loss with its parts."""

from dataclasses import dataclass

from fedmvp_flwr.reporting.curves import line_chart
from fedmvp_flwr.reporting.run_record import Event, RunRecord
from fedmvp_flwr.reporting.svg import Plot
from fedmvp_flwr.reporting.text import (
    COMPLETED,
    CONDITIONS,
    MEASURES,
    Table,
    decimal,
    percent,
    title,
)

_CONTINUED = ", completed"
_LOSS_PARTS = {
    "loss": "Total loss",
    "supervised": "Supervised (cross-entropy)",
    "matching": "Matching (MCM)",
    "margin": "Margin (RAM)",
    "auxiliary": "Auxiliary (single modalities)",
}
_MOST_ROWS = 60


@dataclass(frozen=True)
class Learning:
    """Curves over the rounds, each with its name, and the evaluations in numbers."""

    scores: list[tuple[str, Plot]]
    losses: list[tuple[str, Plot]]
    unused: list[str]  # parts of the loss that were zero in every round
    table: Table | None


def build(run: RunRecord) -> Learning | None:
    """Draw the curves; None before the first round and the first evaluation."""
    scores = [
        (name, plot)
        for measure, name in MEASURES.items()
        if (plot := _score_curve(run.server_scores, measure, name)) is not None
    ]
    parts = {key: _loss(run.rounds, key) for key in _LOSS_PARTS}
    unused = [
        _LOSS_PARTS[key] for key, values in parts.items() if values and not any(values.values())
    ]
    losses = [
        (_LOSS_PARTS[key], _loss_curve(key, values))
        for key, values in parts.items()
        if any(values.values())
    ]
    if not scores and not losses:
        return None
    return Learning(scores, losses, unused, _table(run.server_scores))


def _score_curve(evaluations: list[Event], measure: str, name: str) -> Plot | None:
    series: dict[str, dict[int, float | None]] = {}
    for suffix, ending in (("", ""), (COMPLETED, _CONTINUED)):
        for key in CONDITIONS:
            values = {
                event["round"]: event.get(measure + suffix, {}).get(key) for event in evaluations
            }
            if any(value is not None for value in values.values()):
                series[title(key) + ending] = values
    if not series:
        return None
    ends = ", ".join(f"{key} {percent(v[max(v)])}" for key, v in series.items())
    label = f"{name} on the server's test set over the rounds, at the end: {ends}."
    return line_chart(
        measure,
        label,
        series,
        f"{name} (test set)",
        dashed=[key for key in series if key.endswith(_CONTINUED)],
        percent=True,
    )


def _loss_curve(key: str, values: dict[int, float | None]) -> Plot:
    first, last = (decimal(values[end(values)]) for end in (min, max))
    label = f"{_LOSS_PARTS[key]} over the rounds: from {first} to {last}."
    return line_chart(f"loss-{key}", label, {_LOSS_PARTS[key]: values}, "", small=True)


def _loss(rounds: list[Event], key: str) -> dict[int, float | None]:
    values = {event["round"]: event["train"].get(key) for event in rounds}
    return values if any(value is not None for value in values.values()) else {}


def _table(evaluations: list[Event]) -> Table | None:
    columns = [(measure, key) for measure in MEASURES for key in CONDITIONS]
    if not evaluations:
        return None
    header = ["Round"] + [f"{MEASURES[measure]}: {title(key)}" for measure, key in columns]
    step = -(-len(evaluations) // _MOST_ROWS)
    rows = [
        [str(event["round"])]
        + [percent(event.get(measure, {}).get(key)) for measure, key in columns]
        for event in evaluations[::-step][::-1]
    ]
    return Table("Evaluations on the server's test set, without completion", header, rows)
