"""`fedmvp simulate`: the whole federation on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.cli.console import ExitCode, dated, fields_table, interruptible
from fedmvp_flwr.cli.options import (
    DEFAULT_CLIENTS,
    AppOption,
    CacheOption,
    RunConfigOption,
    build_config,
    candidates,
    overrides,
)
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.preflight.separate_process import preflight_apart
from fedmvp_flwr.simulation.events import Event
from fedmvp_flwr.simulation.flower_app import ConfigValue, find_app
from fedmvp_flwr.simulation.launcher import MIN_CLIENTS, run_simulation
from fedmvp_flwr.simulation.progress import ProgressView
from fedmvp_flwr.simulation.summary import list_files, render_error, render_failure, render_result

_PORT_VARIABLE = "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT"


def simulate(
    app_dir: AppOption = None,
    run_config: RunConfigOption = None,
    num_clients: Annotated[
        int | None,
        typer.Option(help="Number of clients. Default: 10; with --resume that of the run."),
    ] = None,
    num_cpus: Annotated[int, typer.Option(help="CPUs per client.")] = 1,
    num_gpus: Annotated[float, typer.Option(help="GPUs per client; 0.25: four share one.")] = 0.0,
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
        typer.Option(envvar=_PORT_VARIABLE, help="Port of the SuperLink. Default: a free one."),
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
    flower_app = find_app(app_dir, candidates())
    chosen = overrides(run_config, cache)
    if resume is not None:
        settings, of_run = resumed_settings(resume, flower_app.defaults)
        chosen = settings | chosen | {"resume": str(resume)}
        num_clients = num_clients or of_run
        out = out or resume
    chosen_out = out or Path(str(chosen.get("out-dir") or f"runs/{dated()}"))
    chosen_out = expanded(chosen_out, ConfigError, "out-dir")
    own = flower_app.ships_library
    replaces = own and replaces_completed(chosen_out, str(chosen.get("resume") or ""))
    rounds = (flower_app.defaults | chosen).get("num-server-rounds")
    view = ProgressView(console, rounds if isinstance(rounds, int) else None, quiet=quiet)
    clients = DEFAULT_CLIENTS if num_clients is None else num_clients
    if check and own and clients >= MIN_CLIENTS:
        config = build_config(flower_app, chosen | {"out-dir": str(chosen_out)})
        with interruptible():
            require_sound(config, clients, console, quiet=quiet)

    def on_event(event: Event) -> None:
        # The folder is claimed and its `result.json` deleted by now. The rest goes, too: without
        # that file, the ServerApp would take the completed run for an interrupted one.
        if replaces and event.get("step") == "superlink":
            RunFolder(chosen_out).clear()
        view.on_event(event)

    with interruptible(), view:
        outcome = run_simulation(
            flower_app.path,
            run_config=chosen,
            num_clients=clients,
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            out=chosen_out,
            port=port,
            validate=RunConfig.from_run_config if own else None,
            on_event=on_event,
            on_log=view.on_log if verbose else _ignore,
        )
    if outcome.exit_code:
        Console(stderr=True).print(render_failure(outcome))
        raise typer.Exit(outcome.exit_code)
    console.print(render_result(RunFolder(outcome.out).read_result() or {}))
    for line in list_files(outcome.out):
        # soft_wrap: paths stay in one piece
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def replaces_completed(out: Path, resume: str) -> bool:
    """Whether the new run takes the place of a completed one.

    Args:
        out: folder of the results.
        resume: folder of the run that is gone on with, or empty.

    Raises:
        ConfigError: it would take the place of a run that was not completed, or one of the two
            lies in the home folder of nobody.
    """
    out = expanded(out, ConfigError, "out-dir")
    if resume and expanded(resume, ConfigError, "resume").resolve() == out.resolve():
        return False
    folder = RunFolder(out)
    folder.require_overwritable()
    return folder.completed


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


def _ignore(line: str) -> None:
    """Pass over a line of the log; run.log has it."""


def resumed_settings(
    folder: Path, known: Mapping[str, ConfigValue]
) -> tuple[dict[str, ConfigValue], int]:
    """Settings and number of clients of an interrupted run.

    Args:
        folder: of its results.
        known: keys of this version.

    Raises:
        CheckpointError: the folder holds no run that can be gone on with.
    """
    from fedmvp_flwr.server.resume import load_resume_point

    state = load_resume_point(folder).state
    # Where it wrote to need not be the folder's name today.
    settings = {k: v for k, v in state.config.items() if k in known and k not in ("out-dir",)}
    return settings, state.clients
