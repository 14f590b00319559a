"""Show the events of a run: a bar on a terminal, one line per round elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fedmvp_flwr.simulation.events import Event

_STEPS = {
    "superlink": "starting Flower",
    "submit": "submitting the app",
    "running": "starting the clients",
    "stopping": "stopping Flower",
}


class ProgressView:
    """Shows one run while it goes on; use it as a context manager.

    Args:
        console: where to.
        num_rounds: of the run; None if unknown.
        quiet: show nothing.
    """

    def __init__(self, console: Console, num_rounds: int | None, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._live = console.is_terminal and not quiet
        self._loss: float | None = None
        self._accuracy: float | None = None
        self._num_rounds = num_rounds
        self._progress = Progress(
            TextColumn("[progress.description]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not self._live,
        )
        self._task = self._progress.add_task("", total=num_rounds, figures="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def on_event(self, event: Event) -> None:
        """Show one event; unknown ones, and those without what is shown, are passed over."""
        match event.get("event"):
            case "launcher":
                self._show_step(_STEPS.get(str(event.get("step")), ""))
            case "phase" if event.get("status") == "start":
                self._show_step(str(event.get("name", "")))
            case "run-resume":
                self._line(f"going on after round {event.get('after-round')}")
            case "round":
                self._show_round(event)
            case "round-failed":
                number, attempt = event.get("round"), event.get("attempt")
                self._line(
                    f"round {number}: too few valid replies (attempt {attempt})", style="yellow"
                )
                self._show_rejected(event, "reply of")
            case "evaluation-rejected":
                self._show_rejected(event, "evaluation by")
            case "evaluation" if event.get("where") == "server":
                self._show_evaluation(event)

    def on_log(self, line: str) -> None:
        """Show one line of the run's log, above the bar."""
        self._console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)

    def _show_step(self, text: str) -> None:
        if self._live:
            self._progress.update(self._task, description=escape(text))
        else:
            self._line(text)

    def _show_round(self, event: Event) -> None:
        self._loss = _number(event.get("train-loss"), _field(event.get("train"), "loss"))
        number = event.get("round")
        if self._live:
            completed = number if isinstance(number, int) else None
            self._progress.update(self._task, completed=completed, figures=self._figures())
        else:
            of = f"/{self._num_rounds}" if self._num_rounds else ""
            loss = "" if self._loss is None else f"  loss {self._loss:.3f}"
            seconds = _number(event.get("seconds"))
            took = "" if seconds is None else f"  {seconds:.1f} s"
            self._line(f"round {number}{of}{loss}{took}")
        self._show_rejected(event, "reply of")

    def _show_rejected(self, event: Event, what: str) -> None:
        for rejected in event.get("rejected") or []:
            self._line(
                f"round {event.get('round')}: the {what} client {_field(rejected, 'client')} was "
                f"rejected: {_field(rejected, 'reason')}",
                style="yellow",
            )

    def _show_evaluation(self, event: Event) -> None:
        accuracy = event.get("accuracy")
        if not isinstance(accuracy, dict):
            return
        self._accuracy = _number(accuracy.get("complete"))
        if self._live:
            self._progress.update(self._task, figures=self._figures())
        else:
            parts = "  ".join(f"{name} {value:.1%}" for name, value in accuracy.items())
            self._line(f"round {event.get('round')}  accuracy: {parts}")

    def _figures(self) -> str:
        loss = "" if self._loss is None else f"loss {self._loss:.3f}"
        accuracy = "" if self._accuracy is None else f"accuracy {self._accuracy:.1%}"
        return "  ".join(filter(None, [loss, accuracy]))

    def _line(self, text: str, style: str | None = None) -> None:
        if not self._quiet:
            self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _field(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _number(*candidates: object) -> float | None:
    return next((float(c) for c in candidates if isinstance(c, int | float)), None)
