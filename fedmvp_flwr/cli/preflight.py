"""`fedmvp preflight`: everything that can be checked before a run."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from fedmvp_flwr.cli.console import ExitCode, interruptible, rows_table
from fedmvp_flwr.cli.options import (
    DEFAULT_CLIENTS,
    AppOption,
    CacheOption,
    NumClientsOption,
    RunConfigOption,
    config_of,
)

_ROUNDED = 100  # from here on no decimals


def preflight(
    app_dir: AppOption = None,
    run_config: RunConfigOption = None,
    num_clients: NumClientsOption = DEFAULT_CLIENTS,
    cache: CacheOption = None,
    timed: Annotated[
        bool,
        typer.Option(
            "--time/--no-time",
            help="Time the frozen models on a few samples, where they have something to do.",
        ),
    ] = True,
) -> None:
    """Check data, split, holes and models of every client, without training anything."""
    from fedmvp_flwr.preflight.checks import preflight as check

    config = config_of(app_dir, run_config, cache)
    console = Console()
    with interruptible():
        report = check(config, num_clients, timed)
    tables: tuple[Sequence[Mapping[str, Any]], ...] = (report.rows, report.models, report.work)
    for rows in tables:
        if rows:
            console.print(rows_table(rows))
    for note in report.notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    for name, value in report.estimates.items():
        console.print(f"{name}: {value:,.0f}" if value >= _ROUNDED else f"{name}: {value:.3g}")
    if report.work and "completion s" not in report.estimates:
        console.print("How long this takes was not asked: see --time.")
    for problem in report.problems:
        console.print(problem, style="red", markup=False, soft_wrap=True)
    if report.problems:
        raise typer.Exit(ExitCode.FAILED)
    console.print("No problem found.", style="green")
