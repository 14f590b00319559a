"""Options that several commands share, and the configuration that they add up to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.simulation.flower_app import (
    ConfigValue,
    FlowerApp,
    absolute_paths,
    check_keys,
    load_app,
    parse_overrides,
)

CHECKOUT = Path(__file__).resolve().parents[2]
"""Folder of the app when the package is not installed but checked out."""

AppOption = Annotated[
    Path | None,
    typer.Option(
        "--app",
        help="Folder of the Flower app. Default: the checkout of this package, or this folder.",
    ),
]
RunConfigOption = Annotated[
    list[str] | None,
    typer.Option(
        "--run-config",
        "-c",
        metavar="PAIRS|FILE.toml",
        help="Settings, as \"num-server-rounds=5 method='fedavg'\" or a TOML file; repeatable.",
    ),
]
DEFAULT_CLIENTS = 10
NumClientsOption = Annotated[int, typer.Option("--num-clients", help="Number of clients.")]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Folder of the feature store (cache-dir).")
]


def find_app(given: Path | None) -> FlowerApp:
    """The given app, or the one of the checkout or of the current folder.

    Raises:
        ConfigError: there is none.
    """
    folders = (given,) if given else (CHECKOUT, Path.cwd())
    found = [folder for folder in folders if (folder / "pyproject.toml").is_file()]
    return load_app(found[0] if found else folders[-1])


def given_settings(run_config: list[str] | None, cache: Path | None) -> dict[str, ConfigValue]:
    """Settings of the command line: those of `--run-config`, then `--cache`."""
    given = parse_overrides(run_config or [])
    return given | ({} if cache is None else {"cache-dir": str(cache)})


def build_config(flower_app: FlowerApp, settings: Mapping[str, ConfigValue]) -> RunConfig:
    """The app's defaults with some settings on top.

    Args:
        flower_app: whose defaults hold.
        settings: relative paths in it are taken from the current folder.

    Raises:
        ConfigError: an unknown key or a bad value.
    """
    absolute = absolute_paths(settings, Path.cwd())
    config = RunConfig.from_run_config(flower_app.defaults | absolute)
    check_keys(flower_app, absolute)
    return config


def config_of(
    app_dir: Path | None, run_config: list[str] | None, cache: Path | None = None
) -> RunConfig:
    """What `--app`, `--run-config` and `--cache` add up to.

    Raises:
        ConfigError: no app, an unknown key or a bad value.
    """
    return build_config(find_app(app_dir), given_settings(run_config, cache))
