"""The result: accuracy and macro-F1 under every condition, and other runs beside it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import ReportError
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.reporting.curves import dots
from fedmvp_flwr.reporting.events import RunRecord, mapping, number, read_json
from fedmvp_flwr.reporting.svg import Plot
from fedmvp_flwr.reporting.tables import Table
from fedmvp_flwr.reporting.text import CONDITIONS, DASH, percent, points, title, whole

MEASURES = {"accuracy": "Accuracy", "macro-f1": "Macro-F1"}
_COMPLETED = "-with-completion"
_THIS_RUN = "This run"


@dataclass(frozen=True)
class Scores:
    """Scores of the global model.

    Attributes:
        values: by measure and condition, as in `result.json`.
        table: on the server's test set; None where there was no evaluation.
        client_table: on the clients' held-out samples; None where they did not evaluate.
        note: after which round they were measured, if not after the last.
    """

    values: dict[str, Any] = field(default_factory=dict)
    table: Table | None = None
    client_table: Table | None = None
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """Other runs beside this one."""

    table: Table
    plot: Plot


def build(run: RunRecord) -> Scores:
    """Collect the scores: final ones, or those of the last evaluation so far."""
    values, note = run.result, ""
    if not mapping(values.get("accuracy")):
        if not run.server_scores:
            return Scores(client_table=_client_table(run))
        values = run.server_scores[-1]
        note = f"Measured after round {whole(values.get('round'))}; the run has no final result."
    table = score_table("Global model on the server's test set", values)
    return Scores(values, table, _client_table(run), note)


def score_table(caption: str, values: dict[str, Any]) -> Table:
    """Table of every condition without and with completion at test time."""
    measures = [mapping(values.get(m + s)) for m in MEASURES for s in ("", _COMPLETED)]
    names = [*CONDITIONS, *(key for m in measures for key in m if key not in CONDITIONS)]
    header = ["Test samples hold"]
    for measure in MEASURES.values():
        header += [measure, f"{measure}, other modality completed", "Difference (points)"]
    rows = []
    for key in dict.fromkeys(names):
        row = [title(key)]
        for measure in MEASURES:
            plain = number(mapping(values.get(measure)).get(key))
            filled = number(mapping(values.get(measure + _COMPLETED)).get(key))
            gain = filled - plain if plain is not None and filled is not None else None
            row += [percent(plain), percent(filled), points(gain)]
        rows.append(row)
    return Table(caption, header, rows)


def compare(run: RunRecord, out_dir: Path) -> Comparison | None:
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
    this = build(run).values
    runs = [{"name": _THIS_RUN, **{m: this.get(m) for m in MEASURES}}, *others]
    return Comparison(_comparison_table(runs), _comparison_plot(runs))


def _comparison_table(runs: list[dict[str, Any]]) -> Table:
    header = ["Run"] + [f"{MEASURES[m]}: {CONDITIONS[c]}" for m in MEASURES for c in CONDITIONS]
    header.insert(2, "Difference (points)")
    own = number(mapping(runs[0].get("accuracy")).get("complete"))
    rows = []
    for item in runs:
        cells = [percent(mapping(item.get(m)).get(c)) for m in MEASURES for c in CONDITIONS]
        other = number(mapping(item.get("accuracy")).get("complete"))
        is_other = item is not runs[0] and own is not None and other is not None
        gap = points(other - own) if is_other and other is not None and own is not None else DASH
        rows.append([str(item["name"]), cells[0], gap, *cells[1:]])
    return Table("Accuracy and macro-F1 on the same test set", header, rows)


def _comparison_plot(runs: list[dict[str, Any]]) -> Plot:
    series = {
        name: [number(mapping(item.get("accuracy")).get(key)) for item in runs]
        for key, name in CONDITIONS.items()
    }
    label = "Accuracy of each run for complete, image-only and text-only test samples."
    return dots("comparison", label, [str(item["name"]) for item in runs], series, "Accuracy")


def _client_table(run: RunRecord) -> Table | None:
    if not run.client_scores:
        return None
    last = run.client_scores[-1]
    caption = (
        "Global model on the clients' held-out samples, mean over the samples, "
        f"after round {whole(last.get('round'))}"
    )
    return score_table(caption, last)
