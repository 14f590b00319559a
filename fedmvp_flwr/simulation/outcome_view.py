"""What a person reads at the end of a run: the result, or the reason of the failure."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.simulation.launcher import SimulationOutcome, find_own_errors

_CONDITIONS = ("complete", "image-only", "text-only")
_SCORES = {"accuracy": "accuracy", "macro-f1": "macro-F1"}
_FILES = ("report", "model", "metrics", "result", "log")  # attributes of `RunFolder`
_LOG_TAIL = 15
_MEGA = 1e6


def render_result(result: Mapping[str, Any]) -> RenderableType:
    """Return the tables of a `result.json`; what it does not hold is left out."""
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(result):
        facts.add_row(Text(name, style="bold"), value)
    return Group(_score_table(result), facts) if "accuracy" in result else facts


def list_files(out: Path) -> list[str]:
    """Return a line for each file of a run that a person may want to open."""
    width = max(map(len, _FILES)) + 2
    paths = {name: getattr(RunFolder(out), name) for name in _FILES}
    return [f"{name:{width}}{path}" for name, path in paths.items() if path.exists()]


def render_failure(outcome: SimulationOutcome) -> RenderableType:
    """Return the panel of a failed run: its reason, and the end of its log where that may help."""
    log = RunFolder(outcome.out).log
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    body = Text(outcome.problem, style="bold")
    if text and not find_own_errors(text):
        body.append("\n\nThe end of the log:\n", "not bold dim")
        body.append("\n".join(text.splitlines()[-_LOG_TAIL:]), "not bold dim")
    return Panel(
        body,
        title="The simulation failed",
        subtitle=Text(str(log)),
        border_style="red",
        title_align="left",
        subtitle_align="left",
    )


def render_error(title: str, message: str) -> RenderableType:
    """Return the panel of an error that stopped everything before a run."""
    return Panel(Text(message), title=title, border_style="red", title_align="left")


def _score_table(result: Mapping[str, Any]) -> Table:
    table = Table("", title="The global model on the test set", title_justify="left")
    conditions = dict.fromkeys([*_CONDITIONS, *result["accuracy"]])
    for condition in conditions:
        table.add_column(condition, justify="right")
    for key, name in _SCORES.items():
        for scores, label in (
            (result.get(key), name),
            (result.get(f"{key}-with-completion"), f"{name}, with completion"),
        ):
            if scores:
                cells = (f"{scores[c]:.1%}" if c in scores else "" for c in conditions)
                table.add_row(label, *cells)
    return table


def _facts(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for direction in ("upload", "download"):
        size = result.get("bytes", {}).get(f"{direction}-per-client-round")
        if size is not None:
            yield direction, f"{size / _MEGA:.2f} MB per client and round"
    seconds = result.get("seconds")
    if seconds:
        in_order = sorted(seconds, key=lambda name: name == "total")  # the total comes last
        yield "seconds", ", ".join(f"{name} {seconds[name]:.1f}" for name in in_order)
    for modality, counts in result.get("completions", {}).items():
        yield f"completed {modality}s", ", ".join(f"{n} {name}" for name, n in counts.items())
