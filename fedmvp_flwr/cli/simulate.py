"""`fedmvp simulate`: the whole federation on this machine."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.cli.console import ExitCode, dated, fields_table, interruptible
from fedmvp_flwr.cli.options import (
    DEFAULT_CLIENTS,
    AppOption,
    CacheOption,
    RunConfigOption,
    build_config,
    find_app,
    given_settings,
)
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.preflight.separate_process import preflight_apart
from fedmvp_flwr.simulation.flower_app import ConfigValue
from fedmvp_flwr.simulation.launcher import run_simulation
from fedmvp_flwr.simulation.outcome_view import (
    list_files,
    render_error,
    render_failure,
    render_result,
)
from fedmvp_flwr.simulation.progress_view import ProgressView

_LAST_PORT = 65535
_PORT_VARIABLE = "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT"


def simulate(
    app_dir: AppOption = None,
    run_config: RunConfigOption = None,
    num_clients: Annotated[
        int | None,
        typer.Option(min=2, help="Number of clients. Default: 10; with --resume that of the run."),
    ] = None,
    num_cpus: Annotated[int, typer.Option(min=1, help="CPUs per client.")] = 1,
    num_gpus: Annotated[
        float, typer.Option(min=0, help="GPUs per client; 0.25: four share one.")
    ] = 0.0,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results. Default: runs/DATE-TIME.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Go on with the interrupted run in this folder, with its settings, after its last "
            "finished round.",
        ),
    ] = None,
    cache: CacheOption = None,
    port: Annotated[
        int | None,
        typer.Option(
            envvar=_PORT_VARIABLE,
            min=1,
            max=_LAST_PORT,
            help="Port of the SuperLink. Default: a free one.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--preflight/--no-preflight", help="Look for everything wrong beforehand."),
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the run's log.")] = False,
) -> None:
    """Run the whole federation on this machine, and stop all that was started for it."""
    console = Console()
    flower_app = find_app(app_dir)
    chosen = given_settings(run_config, cache)
    if resume is not None:
        settings, of_run = resumed_settings(resume)
        chosen = settings | chosen | {"resume": str(resume)}
        num_clients = num_clients or of_run
        out = out or resume
    out = out or Path(str(chosen.get("out-dir") or f"runs/{dated()}"))
    num_clients = DEFAULT_CLIENTS if num_clients is None else num_clients
    if check and flower_app.ships_library:
        config = build_config(flower_app, chosen | {"out-dir": str(out)})
        with interruptible():
            require_sound(config, num_clients, console, quiet=quiet)
    rounds = (flower_app.defaults | chosen).get("num-server-rounds")
    view = ProgressView(console, rounds if isinstance(rounds, int) else None, quiet=quiet)
    with interruptible(), view:
        outcome = run_simulation(
            flower_app.path,
            run_config=chosen,
            num_clients=num_clients,
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            out=out,
            port=port,
            on_event=view.on_event,
            on_log=view.on_log if verbose else lambda line: None,
        )
    if outcome.problem:
        Console(stderr=True).print(render_failure(outcome))
        raise typer.Exit(ExitCode.FAILED)
    console.print(render_result(RunFolder(outcome.out).read_result() or {}))
    for line in list_files(outcome.out):
        # soft_wrap: paths stay in one piece
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def require_sound(config: RunConfig, clients: int, console: Console, *, quiet: bool) -> None:
    """Check a run before anything is started; end the command with everything wrong.

    Args:
        config: the run's settings.
        clients: how many there are.
        console: gets a few lines about what the run works with.
        quiet: show nothing, unless something is wrong.
    """
    report = preflight_apart(config, clients)
    if report.problems:
        listed = "\n".join(f"- {problem}" for problem in report.problems)
        title = f"{len(report.problems)} problem(s); nothing was started"
        Console(stderr=True).print(render_error(title, listed))
        raise typer.Exit(ExitCode.FAILED)
    if not quiet:
        console.print(fields_table(report.summary()))


def resumed_settings(folder: Path) -> tuple[dict[str, ConfigValue], int]:
    """Settings and number of clients of the interrupted run in a folder.

    Raises:
        CheckpointError: it holds no run that can be gone on with.
    """
    from fedmvp_flwr.server.resume import load_resume_point

    state = load_resume_point(folder).state
    # Where it wrote to need not be the folder's name today.
    settings = {k: v for k, v in state.config.items() if k != "out-dir"}
    return settings, state.clients
