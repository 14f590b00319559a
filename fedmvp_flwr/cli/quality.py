"""`fedmvp quality`: how close completions come to the truth."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.cli.console import dated, interruptible, progress_bars, rows_table
from fedmvp_flwr.cli.options import (
    DEFAULT_CLIENTS,
    AppOption,
    CacheOption,
    NumClientsOption,
    RunConfigOption,
    config_of,
)


def quality(
    app_dir: AppOption = None,
    run_config: RunConfigOption = None,
    num_clients: NumClientsOption = DEFAULT_CLIENTS,
    cache: CacheOption = None,
    samples: Annotated[int, typer.Option(help="At most so many complete pairs.")] = 200,
    split: Annotated[str, typer.Option(help="The split that the pairs come from.")] = "test",
    client: Annotated[
        int | None, typer.Option(help="Take the pairs that this client has complete instead.")
    ] = None,
    templates: Annotated[
        str, typer.Option(help="Prompt templates to compare, separated by commas.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report. Default: runs/quality-DATE-TIME.")
    ] = None,
) -> None:
    """Complete complete pairs anyway, and report how close that comes to the truth."""
    from fedmvp_flwr.quality.comparison import run_quality
    from fedmvp_flwr.quality.page import write_quality

    config = config_of(app_dir, run_config, cache)
    chosen_out = out or Path("runs") / f"quality-{dated()}"
    folder = expanded(chosen_out, ConfigError, "--out").absolute()
    console = Console()
    names = tuple(name.strip() for name in templates.split(",") if name.strip())
    with interruptible(), progress_bars(console) as show:
        results = run_quality(
            config,
            num_samples=samples,
            split=split,
            client=client,
            num_clients=num_clients,
            templates=names,
            on_progress=show,
        )
        paths = write_quality(folder, results)
    overall = {name: result.numbers["overall"] for name, result in results.items()}
    rows = [
        {"measure": key, **{name: _short(values[key]) for name, values in overall.items()}}
        for key in next(iter(overall.values()))
    ]
    console.print(rows_table(rows))
    for path in paths:
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
