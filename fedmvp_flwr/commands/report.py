"""`fedmvp report`: the page of a finished run, once more."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def report(
    run_dir: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run's results.")],
) -> None:
    """Write the HTML report of a run again."""
    from fedmvp_flwr.reporting import write_report

    Console().print(str(write_report(run_dir.expanduser().resolve())), soft_wrap=True)
