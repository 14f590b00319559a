"""The result: accuracy and macro-F1 under every condition."""

from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from fedmvp_flwr.reporting.run_record import RunRecord
from fedmvp_flwr.reporting.text import (
    COMPLETED,
    CONDITIONS,
    MEASURES,
    Table,
    percent,
    points,
    title,
)


@dataclass(frozen=True)
class Scores:
    """Scores of the global model at the server and at the clients.

    Attributes:
        values: those at the server by measure and condition, as in `result.json`.
        note: after which round they were measured, if not after the last.
    """

    values: dict[str, Any] = field(default_factory=dict)
    table: Table | None = None
    client_table: Table | None = None
    note: str = ""


def build(run: RunRecord) -> Scores:
    """Collect the scores: final ones, or those of the last evaluation so far."""
    values, note = run.result, ""
    if "accuracy" not in values:
        if not run.server_scores:
            return Scores(client_table=_client_table(run))
        values = run.server_scores[-1]
        note = f"Measured after round {values['round']}; the run has no final result."
    table = _score_table("Global model on the server's test set", values)
    return Scores(values, table, _client_table(run), note)


def _score_table(caption: str, values: dict[str, Any]) -> Table:
    """Table of every condition without and with completion at test time."""
    measures = {name: values.get(name, {}) for m in MEASURES for name in (m, m + COMPLETED)}
    header = ["Test samples hold"]
    for measure in MEASURES.values():
        header += [measure, f"{measure}, other modality completed", "Difference (points)"]
    rows = []
    for key in dict.fromkeys([*CONDITIONS, *chain.from_iterable(measures.values())]):
        row = [title(key)]
        for measure in MEASURES:
            plain, filled = measures[measure].get(key), measures[measure + COMPLETED].get(key)
            row += [percent(plain), percent(filled), points(filled, plain)]
        rows.append(row)
    return Table(caption, header, rows)


def _client_table(run: RunRecord) -> Table | None:
    if not run.client_scores:
        return None
    last = run.client_scores[-1]
    caption = (
        "Global model on the clients' held-out samples, mean over the samples, "
        f"after round {last['round']}"
    )
    return _score_table(caption, last)
