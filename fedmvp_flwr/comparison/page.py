"""One self-contained HTML page about a comparison: the answer first, then what it rests on."""

import shlex
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from fedmvp_flwr.base.files import write_atomic
from fedmvp_flwr.base.versions import versions
from fedmvp_flwr.comparison import charts
from fedmvp_flwr.comparison.experiment import Experiment
from fedmvp_flwr.comparison.methods import METHODS
from fedmvp_flwr.comparison.outcomes import Group
from fedmvp_flwr.comparison.tables import spread
from fedmvp_flwr.comparison.verdict import verdict
from fedmvp_flwr.config import FREE_KEYS, RunConfig
from fedmvp_flwr.reporting.style import STYLE
from fedmvp_flwr.reporting.svg import Plot
from fedmvp_flwr.reporting.template import MACROS
from fedmvp_flwr.reporting.text import DASH, Table, duration, size

_SHOWN, _UNSEEN = ("complete", "image-only", "text-only"), ("unseen-image", "unseen-text")
_PAGE = (
    MACROS
    + """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Comparison of {{ methods | length }} methods</title>
<style>{{ style | safe }}</style>
</head>
<body>
<header>
<h1>Comparison of {{ methods | length }} methods</h1>
{%- for name, answer in answers %}
<p class="lead">{% if name %}<b>{{ name }}</b>: {% endif %}{{ answer }}</p>
{%- endfor %}
</header>
<main>
{%- for part in parts %}
<section><h2>{{ part.name or "Accuracy" }}</h2>
{{ table(part.scores) }}
<div class="plots">
{{ plot(part.bars, "Mean over the seeds, with its spread.") }}
{{ plot(part.unseen, "Pairs of class and modality that no owner has.") }}
</div>
{{ table(part.differences) }}
{{ plot(part.bytes, "Accuracy over what is sent.", wide=true) }}
{{ table(part.costs) }}
</section>
{%- endfor %}
{%- if trends %}
<section><h2>Over the settings</h2>
{%- for trend in trends %}{{ plot(trend, trend.label, wide=true) }}{% endfor %}
</section>
{%- endif %}
<section><h2>Methods</h2>
{{ table(methods_table) }}
<p class="quiet">Means and standard deviations over the seeds. Differences are paired, sample by
sample; their intervals come from a bootstrap over seeds and test samples together, or over the
seeds alone where a run has no test samples of the server.</p>
</section>
<section><h2>How it was made</h2>
<p><code>{{ command }}</code></p>
{{ table(settings) }}
{{ table(versions) }}
</section>
</main>
</body>
</html>
"""
)


def write_page(
    experiment: Experiment,
    groups: Sequence[Group],
    configs: Mapping[str, RunConfig],
    out: Path,
    reference: str,
) -> list[Path]:
    """Write `report.html`, where the extra `report` is installed; return what was written.

    Args:
        experiment: what was run.
        groups: what it gave.
        configs: run-config by the name of a run.
        out: existing folder.
        reference: the method that the others are measured against.
    """
    if not (find_spec("jinja2") and find_spec("matplotlib")):
        return []
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    methods = Table(
        "What each method is, and whose labels it learns from",
        ["Method", "What it is", "Labels"],
        [[n, METHODS[n].says, METHODS[n].labels] for n in experiment.methods if n in METHODS],
        numeric=False,
    )
    page = environment.from_string(_PAGE).render(
        style=STYLE,
        methods=experiment.methods,
        answers=[(group.name, verdict(group, reference)) for group in groups],
        parts=[_part(number, group, reference) for number, group in enumerate(groups)],
        trends=list(_trends(experiment, groups)),
        methods_table=methods,
        command=shlex.join(["fedmvp", *sys.argv[1:]]),
        settings=_settings(list(configs.values())),
        versions=Table("Versions", ["Package", "Version"], list(map(list, versions().items()))),
    )
    path = out / "report.html"
    write_atomic(path, page.encode("utf-8", errors="replace"))
    return [path]


def _part(number: int, group: Group, reference: str) -> dict[str, object]:
    unseen = [c for c in _UNSEEN if c in group.conditions]
    scores = [
        [name, *(spread(group.values(name, c)) for c in group.conditions)]
        for name in group.outcomes
    ]
    costs = [
        [
            name,
            str(len(runs)),
            duration(statistics.mean(run.seconds for run in runs)),
            size(statistics.mean(run.bytes for run in runs)),
        ]
        for name, runs in group.outcomes.items()
    ]
    shown = [c for c in _SHOWN if c in group.conditions]
    label = "Mean accuracy by method, with its spread over the seeds."
    return {
        "name": group.name,
        "scores": Table("Accuracy in %", ["Method", *group.conditions], scores),
        "bars": charts.bars(f"bars{number}", label, group, shown),
        "unseen": charts.bars(f"unseen{number}", label, group, unseen) if unseen else None,
        "differences": _differences(group, reference),
        "bytes": charts.over_bytes(f"bytes{number}", "Accuracy over bytes.", group),
        "costs": Table(
            "What a run costs", ["Method", "Runs", "Wall time", "Model messages"], costs
        ),
    }


def _differences(group: Group, reference: str) -> Table | None:
    if reference not in group.outcomes:
        return None
    rows = []
    for name in group.outcomes:
        if name == reference:
            continue
        cells = [name]
        for condition in group.conditions:
            found = group.difference(reference, name, condition)
            cells.append(
                f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
                if found
                else DASH
            )
        rows.append(cells)
    caption = f"{reference} above each other method, in points, with 95% intervals"
    return Table(caption, ["Method", *group.conditions], rows)


def _trends(experiment: Experiment, groups: Sequence[Group]) -> Iterator[Plot]:
    """A drawing for each numeric key of the grid, where it is the only one that varies."""
    values = {cell.group: cell.settings for cell in experiment.cells}
    keys = [part.partition("=")[0] for part in groups[0].name.split()]
    if len(keys) != 1:
        return
    points = {values[group.name][keys[0]]: group for group in groups}
    numbers = {float(v): g for v, g in points.items() if isinstance(v, int | float)}
    for place, condition in enumerate(_SHOWN if len(numbers) > 1 else ()):
        label = f"Accuracy over {keys[0]}, {condition}."
        yield charts.over_key(f"trend{place}", label, keys[0], numbers, condition)


def _settings(configs: Sequence[RunConfig]) -> Table:
    """Settings that differ from the defaults and are the same in all runs."""
    default = RunConfig.of().to_run_config()
    runs = [config.to_run_config() for config in configs]
    rows = [
        [key, str(runs[0][key])]
        for key in default
        if key not in FREE_KEYS
        and runs[0][key] != default[key]
        and all(run[key] == runs[0][key] for run in runs)
    ]
    return Table("Settings of all runs that are not the default", ["Key", "Value"], rows)
