"""The command `fedmvp`: simulate, compare, complete, preflight, quality, pretrain, report."""

import sys

import typer
from rich.console import Console

from fedmvp_flwr.base.errors import ConfigError, FedMVPError
from fedmvp_flwr.cli.compare import compare
from fedmvp_flwr.cli.console import ExitCode
from fedmvp_flwr.cli.preflight import preflight
from fedmvp_flwr.cli.prepare import complete, export_flora
from fedmvp_flwr.cli.pretrain import pretrain
from fedmvp_flwr.cli.quality import quality
from fedmvp_flwr.cli.report import report
from fedmvp_flwr.cli.simulate import simulate
from fedmvp_flwr.simulation.outcome_view import render_error

app = typer.Typer(
    help="FedMVP on Flower: federated image-text learning with missing modalities.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

for command in (simulate, compare, complete, export_flora, preflight, quality, pretrain, report):
    app.command()(command)


def main() -> None:
    """Entry point of the command `fedmvp`."""
    try:
        app()
    except ConfigError as error:
        sys.exit(_complain("Wrong configuration", error, ExitCode.WRONG_CONFIG))
    except FedMVPError as error:
        sys.exit(_complain("FedMVP cannot go on", error, ExitCode.FAILED))


def _complain(title: str, error: Exception, code: ExitCode) -> int:
    Console(stderr=True).print(render_error(title, str(error)))
    return int(code)


if __name__ == "__main__":
    main()
