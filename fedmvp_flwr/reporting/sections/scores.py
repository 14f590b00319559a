"""The result: accuracy and macro-F1 under every condition, and other runs beside it."""

from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import ReportError
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.reporting.curves import dots
from fedmvp_flwr.reporting.run_record import RunRecord, read_json
from fedmvp_flwr.reporting.svg import Plot
from fedmvp_flwr.reporting.text import (
    COMPLETED,
    CONDITIONS,
    DASH,
    MEASURES,
    Table,
    percent,
    points,
    title,
)

_THIS_RUN = "This run"


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


def compare(run: RunRecord, out_dir: Path) -> tuple[Table, Plot] | None:
    """Compare with the runs that `comparison.json` lists; None where there is no such file.

    Raises:
        ReportError: the file is not a list of objects with a name.
    """
    path = RunFolder(out_dir).comparison
    if not path.exists():
        return None
    others = read_json(path)
    if not isinstance(others, list) or not all(isinstance(o, dict) and "name" in o for o in others):
        raise ReportError(
            f'{path}: expected a list of objects such as {{"name": "...", "accuracy": {{...}}, '
            '"macro-f1": {...}}.'
        )
    runs = [{**build(run).values, "name": _THIS_RUN}, *others]
    accuracies = [item.get("accuracy", {}) for item in runs]
    header = [f"{MEASURES[m]}: {CONDITIONS[c]}" for m in MEASURES for c in CONDITIONS]
    rows: list[list[str]] = []
    for item, accuracy in zip(runs, accuracies, strict=True):
        cells = [percent(item.get(m, {}).get(c)) for m in MEASURES for c in CONDITIONS]
        gap = points(accuracy.get("complete"), accuracies[0].get("complete")) if rows else DASH
        rows.append([str(item["name"]), cells[0], gap, *cells[1:]])
    table = Table(
        "Accuracy and macro-F1 on the same test set",
        ["Run", header[0], "Difference (points)", *header[1:]],
        rows,
    )
    series = {
        name: [accuracy.get(key) for accuracy in accuracies] for key, name in CONDITIONS.items()
    }
    label = "Accuracy of each run for complete, image-only and text-only test samples."
    names = [row[0] for row in rows]
    return table, dots("comparison", label, names, series, "Accuracy")


def _client_table(run: RunRecord) -> Table | None:
    if not run.client_scores:
        return None
    last = run.client_scores[-1]
    caption = (
        "Global model on the clients' held-out samples, mean over the samples, "
        f"after round {last['round']}"
    )
    return _score_table(caption, last)
