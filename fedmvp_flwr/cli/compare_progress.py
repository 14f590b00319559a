"""How far a comparison is: a bar for all runs, and one for each that is under way."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.comparison.runner import Progress
from fedmvp_flwr.config import RunConfig

_MINUTE = 60


class ProgressTable:
    """Shows progress on a terminal, and a line per finished run elsewhere.

    Args:
        console: where to.
        configs: run-config by the name of a run.
    """

    def __init__(self, console: Console, configs: Mapping[str, RunConfig]) -> None:
        self._console = console
        self._configs = configs
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bars = Bars(*columns, console=console, disable=not console.is_terminal)
        self._all: TaskID | None = None
        self._tasks: dict[str, TaskID] = {}
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        """Begin to show."""
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop to show."""
        self._bars.stop()

    def show(self, progress: Progress) -> None:
        """Show how far it is."""
        if self._all is None:
            self._all = self._bars.add_task("all runs", total=progress.total, left="")
            self._told.update(progress.done)
            if progress.done:
                self._console.print(f"{len(progress.done)} runs are there already.")
        ended = [*progress.done, *progress.failed]
        self._bars.update(self._all, completed=len(ended), left=self._left(progress))
        for name, rounds in progress.running.items():
            last = self._configs[name].run.num_server_rounds
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(_short(name), total=last, left="rounds")
            self._bars.update(self._tasks[name], completed=rounds)
        for name in [*self._tasks]:
            if name not in progress.running:
                self._bars.remove_task(self._tasks.pop(name))
        for name in ended:
            if name not in self._told:
                self._told.add(name)
                self._tell(name, len(ended), progress)

    def _tell(self, name: str, ended: int, progress: Progress) -> None:
        if name in progress.failed:
            result = f"failed: {progress.failed[name]}"
        else:
            out = self._configs[name].run.out_dir
            scores = (RunFolder(Path(out)).read_result() or {}).get("accuracy", {})
            result = ", ".join(f"{key} {value:.1%}" for key, value in scores.items())
        line = f"{ended}/{progress.total} {_short(name)}: {result}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _left(self, progress: Progress) -> str:
        if not progress.seconds:
            return ""
        open_runs = progress.total - len(progress.done) - len(progress.failed)
        at_once = max(len(progress.running), 1)
        minutes = statistics.mean(progress.seconds) * open_runs / at_once / _MINUTE
        return f"about {max(round(minutes), 1)} min left"


def _short(name: str) -> str:
    return name.removeprefix("runs/")
