"""`fedmvp compare`: methods side by side, on one's own data or from an experiment file."""

import os
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.cli.compare_progress import ProgressTable
from fedmvp_flwr.cli.console import ExitCode, interruptible
from fedmvp_flwr.cli.options import (
    AppOption,
    CacheOption,
    RunConfigOption,
    find_app,
    given_settings,
)
from fedmvp_flwr.comparison.experiment import Experiment, ExperimentFile, plan, read_experiment
from fedmvp_flwr.comparison.methods import METHODS, QUESTION, REFERENCE
from fedmvp_flwr.comparison.runner import require_same, run_all, settings_of
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.preflight.separate_process import preflight_apart
from fedmvp_flwr.simulation.flower_app import FlowerApp, absolute_paths
from fedmvp_flwr.simulation.outcome_view import render_error

_MANY = 1000  # runs that are not started without asking
_LISTS = re.compile(r"[\s,]+")


def compare(
    file: Annotated[
        Path | None, typer.Argument(help="Experiment file; without one: is completion worth it?")
    ] = None,
    app_dir: AppOption = None,
    run_config: RunConfigOption = None,
    num_clients: Annotated[
        int | None, typer.Option(min=2, help="Number of clients. Default: the file's, or 10.")
    ] = None,
    seeds: Annotated[
        list[str] | None, typer.Option(help="Seeds, repeatable. Default: the file's, or 0 1 2.")
    ] = None,
    methods: Annotated[
        list[str] | None, typer.Option(help=f"Methods, repeatable: {', '.join(METHODS)}.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time. Default: one per processor core.")
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="What {NAME} in the file stands for."),
    ] = None,
    cache: CacheOption = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs and tables.")] = Path(
        "runs/compare"
    ),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before many runs.")] = False,
) -> None:
    """Run several methods on the same samples and holes, over several seeds, and compare them."""
    console = Console()
    flower_app = find_app(app_dir)
    given = absolute_paths(given_settings(run_config, cache), Path.cwd())
    tables = read_experiment(file) if file else _question(flower_app, given)
    experiment = plan(
        tables,
        given,
        paths=_paths(path or []),
        methods=_split(methods or []),
        seeds=_numbers(seeds or []),
        clients=num_clients,
    )
    if len(experiment.cells) > _MANY and not yes:
        typer.confirm(f"{len(experiment.cells):,} runs: start them?", abort=True)
    out = out.expanduser().absolute()
    configs = {cell.name: settings_of(cell, out, flower_app.defaults) for cell in experiment.cells}
    for config in configs.values():
        require_same(config, RunFolder(Path(config.run.out_dir)))
    with interruptible():
        _require_sound(experiment, configs, console)
        with ProgressTable(console, configs) as view:
            progress = run_all(
                experiment, configs, flower_app.path, jobs or os.cpu_count() or 1, view.show
            )
    _write(experiment, configs, out, console)
    if progress.failed:
        listed = "\n".join(f"- {name}: {reason}" for name, reason in progress.failed.items())
        title = f"{len(progress.failed)} of {progress.total} runs failed"
        Console(stderr=True).print(render_error(title, listed))
        raise typer.Exit(ExitCode.FAILED)


def _write(
    experiment: Experiment, configs: dict[str, RunConfig], out: Path, console: Console
) -> None:
    """Write tables and page of what there is, and print the answer."""
    from fedmvp_flwr.comparison.outcomes import read_outcomes
    from fedmvp_flwr.comparison.page import write_page
    from fedmvp_flwr.comparison.tables import write_tables
    from fedmvp_flwr.comparison.verdict import verdict

    groups = read_outcomes(experiment, out)
    if not groups:
        return
    reference = REFERENCE if REFERENCE in experiment.methods else experiment.methods[0]
    written = write_tables(groups, out, reference)
    written += write_page(experiment, groups, configs, out, reference)
    for group in groups:
        name = f"{group.name}: " if group.name else ""
        console.print(name + verdict(group, reference), highlight=False)
    for path in written:
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)


def _question(app: FlowerApp, given: dict[str, bool | int | float | str]) -> ExperimentFile:
    """Is completion worth it; without the upper bound where the holes are real."""
    settings = app.defaults | given
    real = settings.get("missing-pattern") == "real" or settings.get("dataset") == "nodes"
    names = [name for name in QUESTION if not (real and METHODS[name].whole)]
    return ExperimentFile(methods=names)


def _require_sound(experiment: Experiment, configs: dict[str, RunConfig], console: Console) -> None:
    """Check one run of each method and cell before the first one starts."""
    first = {(cell.group, cell.method): cell.name for cell in reversed(experiment.cells)}
    problems = []
    for (group, method), name in first.items():
        config = configs[name]
        if RunFolder(Path(config.run.out_dir)).completed:
            continue
        report = preflight_apart(config.changed(out_dir=""), experiment.clients)
        problems += [f"{group} {method}: {problem}".strip() for problem in report.problems]
    if problems:
        listed = "\n".join(f"- {problem}" for problem in dict.fromkeys(problems))
        title = f"{len(problems)} problem(s); nothing was started"
        Console(stderr=True).print(render_error(title, listed))
        raise typer.Exit(ExitCode.FAILED)
    console.print(
        f"{len(experiment.cells)} runs of {', '.join(experiment.methods)}: no problem found."
    )


def _split(values: list[str]) -> list[str]:
    return [word for value in values for word in _LISTS.split(value) if word]


def _numbers(values: list[str]) -> list[int]:
    try:
        return [int(word) for word in _split(values)]
    except ValueError as error:
        raise ConfigError(f"--seeds: expected whole numbers ({error}).") from error


def _paths(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, place = pair.partition("=")
        if not (name and equals and place):
            raise ConfigError(f"--path {pair}: expected NAME=PATH.")
        found[name] = place
    return found
