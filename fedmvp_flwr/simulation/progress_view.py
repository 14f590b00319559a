"""Show the events of a run: a bar on a terminal, one line per round elsewhere."""

from contextlib import suppress
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fedmvp_flwr.simulation.event_tail import Event

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
        self._loss = self._accuracy = ""
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

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def on_event(self, event: Event) -> None:
        """Show one event; unknown ones, and those of other apps, are passed over."""
        with suppress(AttributeError, KeyError, TypeError, ValueError):
            self._show(event)

    def on_log(self, line: str) -> None:
        """Show one line of the run's log, above the bar."""
        self._console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)

    def _show(self, event: Event) -> None:
        match event["event"]:
            case "launcher":
                self._show_step(_STEPS[event["step"]])
            case "phase" if event["status"] == "start":
                self._show_step(event["name"])
            case "run-resume":
                self._line(f"going on after round {event['after-round']}")
            case "round":
                self._show_round(event["round"], event.get("train", {}).get("loss"))
                self._show_rejected(event, "reply of")
            case "round-failed":
                attempt = f"(attempt {event['attempt']})"
                self._line(f"round {event['round']}: too few valid replies {attempt}", "yellow")
                self._show_rejected(event, "reply of")
            case "evaluation-rejected":
                self._show_rejected(event, "evaluation by")
            case "evaluation" if event["where"] == "server":
                self._show_evaluation(event["round"], event["accuracy"])

    def _show_step(self, text: str) -> None:
        if self._live:
            self._progress.update(self._task, description=escape(text))
        else:
            self._line(text)

    def _show_round(self, number: int, loss: float | None) -> None:
        self._loss = "" if loss is None else f"loss {loss:.3f}"
        if self._live:
            self._progress.update(self._task, completed=number, figures=self._figures())
        else:
            of = f"/{self._num_rounds}" if self._num_rounds else ""
            self._line(f"round {number}{of}  {self._loss}".rstrip())

    def _show_rejected(self, event: Event, what: str) -> None:
        for rejected in event.get("rejected", []):
            self._line(
                f"round {event['round']}: the {what} client {rejected['client']} was rejected: "
                f"{rejected['reason']}",
                "yellow",
            )

    def _show_evaluation(self, number: int, accuracy: dict[str, float]) -> None:
        if "complete" in accuracy:
            self._accuracy = f"accuracy {accuracy['complete']:.1%}"
        if self._live:
            self._progress.update(self._task, figures=self._figures())
        else:
            parts = "  ".join(f"{name} {value:.1%}" for name, value in accuracy.items())
            self._line(f"round {number}  accuracy: {parts}")

    def _figures(self) -> str:
        return "  ".join(filter(None, [self._loss, self._accuracy]))

    def _line(self, text: str, style: str | None = None) -> None:
        if not self._quiet:
            self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
