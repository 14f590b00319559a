"""The command `fedmvp`: simulate, complete, preflight, quality, pretrain, report."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.errors import ConfigError, FedMVPError
from fedmvp_flwr.simulation.app import (
    ConfigValue,
    FlowerApp,
    absolute_paths,
    check_keys,
    find_app,
    parse_overrides,
)
from fedmvp_flwr.simulation.interrupts import interrupts_raise
from fedmvp_flwr.simulation.launcher import read_result, run_simulation
from fedmvp_flwr.simulation.progress import ProgressView
from fedmvp_flwr.simulation.summary import (
    list_files,
    render_error,
    render_failure,
    render_result,
)

_CHECKOUT = Path(__file__).resolve().parents[1]
_PORT_VARIABLE = "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT"


class ExitCode(IntEnum):
    """What a shell sees."""

    FAILED = 1
    WRONG_CONFIG = 2
    INTERRUPTED = 130  # 128 + SIGINT


app = typer.Typer(
    help="FedMVP on Flower: federated image-text learning with missing modalities.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

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
_DEFAULT_CLIENTS = 10
NumClientsOption = Annotated[int, typer.Option("--num-clients", help="Number of clients.")]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Folder of the feature store (cache-dir).")
]


@app.command()
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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the run's log.")] = False,
) -> None:
    """Run the whole federation on this machine, and stop all that was started for it."""
    console = Console()
    flower_app = find_app(app_dir, _candidates())
    overrides = _overrides(run_config, cache)
    if resume is not None:
        settings, clients = resumed_settings(resume, flower_app.defaults)
        overrides = settings | overrides | {"resume": str(resume)}
        num_clients = num_clients or clients
        out = out or resume
    chosen_out = out or Path(str(overrides.get("out-dir") or _new_run_folder()))
    rounds = (flower_app.defaults | overrides).get("num-server-rounds")
    view = ProgressView(console, rounds if isinstance(rounds, int) else None, quiet=quiet)
    with _interruptible(), view:
        outcome = run_simulation(
            flower_app.path,
            run_config=overrides,
            num_clients=_DEFAULT_CLIENTS if num_clients is None else num_clients,
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            out=chosen_out,
            port=port,
            validate=RunConfig.from_run_config if flower_app.ships_library else None,
            on_event=view.on_event,
            on_log=view.on_log if verbose else _ignore,
        )
    if outcome.exit_code:
        Console(stderr=True).print(render_failure(outcome))
        raise typer.Exit(outcome.exit_code)
    console.print(render_result(read_result(outcome.out) or {}))
    for line in list_files(outcome.out):
        console.print(
            line, markup=False, highlight=False, soft_wrap=True
        )  # paths stay in one piece


@app.command()
def complete(
    app_dir: AppOption = None,
    run_config: RunConfigOption = None,
    num_clients: NumClientsOption = _DEFAULT_CLIENTS,
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
    from fedmvp_flwr.ahead import prepare_all, prepare_one
    from fedmvp_flwr.node import read_node

    config = _config(find_app(app_dir, _candidates()), _overrides(run_config, cache))
    console = Console()
    with _interruptible(), _progress_bars(console) as show:
        if node is None:
            summary = prepare_all(config, num_clients, show)
        else:
            summary = prepare_one(config, read_node(parse_overrides([node]), config), show)
    console.print(_fields_table(vars(summary)))


@app.command("export-flora")
def export_flora(
    target: Annotated[Path, typer.Argument(metavar="DIR", help="Absent or empty folder.")],
    app_dir: AppOption = None,
    run_config: RunConfigOption = None,
    num_clients: NumClientsOption = 3,
) -> None:
    """Write the embedded data, dealt to clients and with their holes, as folders for own nodes."""
    from fedmvp_flwr.data.export import export_parts
    from fedmvp_flwr.data.registry import load_dataset

    config = _config(find_app(app_dir, _candidates()), _overrides(run_config, None))
    console = Console()
    with _interruptible():
        folders = export_parts(load_dataset(config), config, num_clients, target.resolve())
    for folder in folders:
        console.print(str(folder), soft_wrap=True)


@app.command()
def preflight(
    app_dir: AppOption = None,
    run_config: RunConfigOption = None,
    num_clients: NumClientsOption = _DEFAULT_CLIENTS,
    cache: CacheOption = None,
    timed: Annotated[
        bool, typer.Option("--time", help="Time the frozen models on a few samples.")
    ] = False,
) -> None:
    """Check data, split, holes and models of every client, without training anything."""
    from fedmvp_flwr.preflight import preflight as check

    config = _config(find_app(app_dir, _candidates()), _overrides(run_config, cache))
    console = Console()
    with _interruptible():
        report = check(config, num_clients, timed)
    tables: tuple[Sequence[Mapping[str, Any]], ...] = (report.rows, report.models, report.work)
    for rows in tables:
        if rows:
            console.print(_rows_table(rows))
    for note in report.notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    for name, value in report.estimates.items():
        console.print(f"{name}: {value:.3g}")
    if report.work and "completion s" not in report.estimates:
        console.print("How long this takes: fedmvp preflight --time")
    for problem in report.problems:
        console.print(problem, style="red", markup=False, soft_wrap=True)
    if report.problems:
        raise typer.Exit(ExitCode.FAILED)
    console.print("No problem found.", style="green")


@app.command()
def quality(
    app_dir: AppOption = None,
    run_config: RunConfigOption = None,
    num_clients: NumClientsOption = 10,
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
    from fedmvp_flwr.quality.page import write_quality
    from fedmvp_flwr.quality.run import default_folder, run_quality

    config = _config(find_app(app_dir, _candidates()), _overrides(run_config, cache))
    console = Console()
    names = tuple(name.strip() for name in templates.split(",") if name.strip())
    with _interruptible(), _progress_bars(console) as show:
        results = run_quality(
            config,
            num_samples=samples,
            split=split,
            client=client,
            num_clients=num_clients,
            templates=names,
            on_progress=show,
        )
        folder = default_folder(out, f"quality-{datetime.now().astimezone():%Y%m%d-%H%M%S}")
        paths = write_quality(folder, results)
    overall = {name: result.numbers["overall"] for name, result in results.items()}
    rows = [
        {"measure": key, **{name: _short(values[key]) for name, values in overall.items()}}
        for key in next(iter(overall.values()))
    ]
    console.print(_rows_table(rows))
    for path in paths:
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)


@app.command()
def pretrain(
    data: Annotated[str, typer.Option(help="The data set, as the key `dataset` names it.")],
    out: Annotated[Path, typer.Option(help="Gets encoder/, captioner/, generator/ and the card.")],
    split: Annotated[str, typer.Option(help="The split to learn from; a+b joins two.")] = "public",
    minutes: Annotated[float, typer.Option(help="Of training, all models together.")] = 60.0,
    steps: Annotated[int | None, typer.Option(help="Of training, of each model, at most.")] = None,
    image_size: Annotated[int, typer.Option(help="Height and width in pixels.")] = 64,
    patch: Annotated[int, typer.Option(help="Pixels per side of a patch.")] = 8,
    width: Annotated[int, typer.Option(help="Of the transformers.")] = 128,
    context: Annotated[int, typer.Option(help="Longest text in tokens.")] = 64,
    vocabulary: Annotated[int, typer.Option(help="Most tokens.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    use_labels: Annotated[bool, typer.Option(help="Learn from the labels as well.")] = False,
    app_dir: AppOption = None,
    run_config: RunConfigOption = None,
) -> None:
    """Build a small encoder, captioner and generator from a public split of your data."""
    from fedmvp_flwr.pretraining import run as pretraining
    from fedmvp_flwr.pretraining.shape import Shape

    overrides = _overrides(run_config, None) | {"dataset": data, "device": device}
    config = _config(find_app(app_dir, _candidates()), overrides)
    console = Console()
    settings = pretraining.PretrainSettings(
        split=split,
        out=out.expanduser().resolve(),
        minutes=minutes,
        steps=pretraining.NO_LIMIT if steps is None else steps,
        shape=Shape(image_size=image_size, patch=patch, width=width, context=context),
        vocabulary_size=vocabulary,
        seed=seed,
        use_labels=use_labels,
    )
    with _interruptible(), _progress_bars(console) as show:
        made = pretraining.pretrain(config, settings, show)
    for name, figures in made["figures"].items():
        numbers = {key: value for key, value in figures.items() if isinstance(value, int | float)}
        console.print(f"[bold]{name}[/bold]", _fields_table(numbers))
    for field, spec in pretraining.specs(settings.out).items():
        line = f"{field.replace('_', '-')}='{spec}'"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(str(settings.out / pretraining.CARD), markup=False, soft_wrap=True)


@app.command()
def report(
    run_dir: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run's results.")],
) -> None:
    """Write the HTML report of a run again."""
    from fedmvp_flwr.reporting import write_report

    Console().print(str(write_report(run_dir.expanduser().resolve())), soft_wrap=True)


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


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        with interrupts_raise():
            yield
    except KeyboardInterrupt as error:
        Console(stderr=True).print("Interrupted. Nothing is left running.", style="yellow")
        raise typer.Exit(ExitCode.INTERRUPTED) from error


@contextmanager
def _progress_bars(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """One bar per stage, on terminals only."""
    with Progress(console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _ignore(line: str) -> None:
    """Pass over a line of the log; run.log has it."""


def _candidates() -> tuple[Path, ...]:
    return _CHECKOUT, Path.cwd()


def _new_run_folder() -> str:
    return f"runs/{datetime.now().astimezone():%Y%m%d-%H%M%S}"


def _overrides(run_config: list[str] | None, cache: Path | None) -> dict[str, ConfigValue]:
    overrides = parse_overrides(run_config or [])
    return overrides | ({} if cache is None else {"cache-dir": str(cache)})


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
    from fedmvp_flwr.resume import load_resume_point

    state = load_resume_point(folder).state
    # Where it wrote to need not be the folder's name today.
    settings = {k: v for k, v in state.config.items() if k in known and k not in ("out-dir",)}
    return settings, state.clients


def _config(flower_app: FlowerApp, overrides: Mapping[str, ConfigValue]) -> RunConfig:
    absolute = absolute_paths(overrides, Path.cwd())
    config = RunConfig.from_run_config(flower_app.defaults | absolute)
    check_keys(flower_app, absolute)
    return config


def _fields_table(fields: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in fields.items():
        table.add_row(name.replace("_", " "), str(value))
    return table


def _rows_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in columns))
    return table


if __name__ == "__main__":
    main()
