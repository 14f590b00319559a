"""`fedmvp report`: the page of a finished run, once more."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.files import expanded


def report(
    run_dir: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run's results.")],
) -> None:
    """Write the HTML report of a run again."""
    from fedmvp_flwr.reporting import write_report

    folder = expanded(run_dir, ConfigError, "DIR").resolve()
    Console().print(str(write_report(folder)), soft_wrap=True)
