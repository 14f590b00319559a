"""`fedmvp complete` and `fedmvp export-flora`: what is done ahead of a run."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedmvp_flwr.cli.console import fields_table, interruptible, progress_bars
from fedmvp_flwr.cli.options import (
    DEFAULT_CLIENTS,
    AppOption,
    CacheOption,
    NumClientsOption,
    RunConfigOption,
    config_of,
)
from fedmvp_flwr.simulation.flower_app import parse_overrides


def complete(
    app_dir: AppOption = None,
    run_config: RunConfigOption = None,
    num_clients: NumClientsOption = DEFAULT_CLIENTS,
    cache: CacheOption = None,
    node: Annotated[
        str | None,
        typer.Option(
            metavar="PAIRS",
            help="Prepare this one node, here, for all runs to come: what its --node-config says.",
        ),
    ] = None,
) -> None:
    """Fill the feature store ahead of time: complete and encode the samples of every client."""
    from fedmvp_flwr.cli.prepare_clients import prepare_all, prepare_one
    from fedmvp_flwr.config.node import read_node

    config = config_of(app_dir, run_config, cache)
    console = Console()
    with interruptible(), progress_bars(console) as show:
        if node is None:
            summary = prepare_all(config, num_clients, show)
        else:
            summary = prepare_one(config, read_node(parse_overrides([node]), config.run), show)
    console.print(fields_table(summary))


def export_flora(
    target: Annotated[Path, typer.Argument(metavar="DIR", help="Absent or empty folder.")],
    app_dir: AppOption = None,
    run_config: RunConfigOption = None,
    num_clients: NumClientsOption = 3,
) -> None:
    """Write the embedded data, dealt to clients and with their holes, as folders for own nodes."""
    from fedmvp_flwr.config.folders import cache_folder
    from fedmvp_flwr.data.dealing.export import export_parts
    from fedmvp_flwr.data.sources.registry import load_dataset

    config = config_of(app_dir, run_config)
    console = Console()
    with interruptible():
        dataset = load_dataset(config.data, cache_folder(config.run))
        folders = export_parts(dataset, config, num_clients, target.resolve())
    for folder in folders:
        console.print(str(folder), soft_wrap=True)
