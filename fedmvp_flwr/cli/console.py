"""What the commands show, and how they end."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import IntEnum
from typing import Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fedmvp_flwr.base.progress import Progress as OnProgress
from fedmvp_flwr.simulation.interrupts import interrupts_raise


class ExitCode(IntEnum):
    """What a shell sees."""

    FAILED = 1
    WRONG_CONFIG = 2
    INTERRUPTED = 130  # 128 + SIGINT


@contextmanager
def interruptible() -> Iterator[None]:
    """End the command with `INTERRUPTED` on the first SIGINT, SIGTERM or SIGHUP."""
    try:
        with interrupts_raise():
            yield
    except KeyboardInterrupt as error:
        Console(stderr=True).print("Interrupted. Nothing is left running.", style="yellow")
        raise typer.Exit(ExitCode.INTERRUPTED) from error


@contextmanager
def progress_bars(console: Console) -> Iterator[OnProgress]:
    """One bar per stage, on terminals only."""
    with Progress(console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


def dated() -> str:
    """Date and time, as a part of a folder's name."""
    return f"{datetime.now().astimezone():%Y%m%d-%H%M%S}"


def fields_table(fields: Mapping[str, Any]) -> Table:
    """Names and values, one a line."""
    table = Table.grid(padding=(0, 2))
    for name, value in fields.items():
        table.add_row(name, str(value))
    return table


def rows_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Rows under the union of their columns; what a row lacks stays empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in columns))
    return table
