import io
from typing import Any

import pytest
from rich.console import Console

from fedmvp_flwr.simulation.progress_view import ProgressView

EVENTS: list[dict[str, Any]] = [
    {"event": "launcher", "step": "superlink"},
    {"event": "phase", "name": "completion", "status": "start"},
    {"event": "phase", "name": "completion", "status": "end"},
    {"event": "client", "partition-id": 0, "samples": 12},
    {
        "event": "round",
        "round": 1,
        "train": {"loss": 1.25},
        "seconds": {"train": 2.0},
        "rejected": [{"client": 3, "reason": "not finite: [head]"}],
    },
    {
        "event": "evaluation",
        "round": 1,
        "where": "server",
        "accuracy": {"complete": 0.5, "image-only": 0.25, "text-only": 0.125},
    },
    {"event": "evaluation", "round": 1, "where": "clients", "accuracy": {"complete": 0.9}},
    {"event": "round", "round": 2, "train": {"loss": 0.75}},
    {
        "event": "evaluation-rejected",
        "round": 2,
        "rejected": [
            {"client": 1, "reason": "no reply within the timeout"},
            {"client": 4, "reason": "[bold]metric 'accuracy' must be in [0, 1][/bold]"},
        ],
    },
    {"event": "run-end", "status": "completed"},
]


def _show(events: list[dict[str, Any]], *, terminal: bool, quiet: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, color_system=None)
    with ProgressView(console, 2, quiet=quiet) as view:
        for event in events:
            view.on_event(event)
    return out.getvalue()


def test_one_line_per_round_without_a_terminal() -> None:
    assert _show(EVENTS, terminal=False).splitlines() == [
        "starting Flower",
        "completion",
        "round 1/2  loss 1.250",
        "round 1: the reply of client 3 was rejected: not finite: [head]",
        "round 1  accuracy: complete 50.0%  image-only 25.0%  text-only 12.5%",
        "round 2/2  loss 0.750",
        "round 2: the evaluation by client 1 was rejected: no reply within the timeout",
        "round 2: the evaluation by client 4 was rejected: "
        "[bold]metric 'accuracy' must be in [0, 1][/bold]",
    ]


def test_a_resumed_run_says_after_which_round() -> None:
    events = [{"event": "round", "round": 1}, {"event": "run-resume", "after-round": 1}]
    lines = _show([*events, {"event": "round", "round": 2}], terminal=False).splitlines()
    assert lines == ["round 1/2", "going on after round 1", "round 2/2"]


def test_a_bar_on_a_terminal() -> None:
    last = _show(EVENTS, terminal=True).rsplit("\r", 1)[-1]
    assert "2/2" in last
    assert "loss 0.750" in last
    assert "accuracy 50.0%" in last


def test_rejected_replies_are_shown_above_the_bar() -> None:
    shown = _show(EVENTS, terminal=True)
    assert "round 1: the reply of client 3 was rejected: not finite: [head]" in shown
    assert "round 2: the evaluation by client 1 was rejected: no reply within" in shown


def test_quiet_shows_nothing() -> None:
    assert _show(EVENTS, terminal=False, quiet=True) == ""
    assert _show(EVENTS, terminal=True, quiet=True) == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_odd_events_do_no_harm(terminal: bool) -> None:
    odd: list[dict[str, Any]] = [
        {},
        {"event": 5},
        {"event": "launcher"},
        {"event": "phase", "status": "start"},
        {"event": "round"},
        {"event": "round", "round": "x", "train": None, "rejected": [None]},
        {"event": "evaluation-rejected"},
        {"event": "round-failed"},
        {"event": "evaluation-rejected", "round": "x", "rejected": [None]},
        {"event": "evaluation", "where": "server"},
        {"event": "evaluation", "where": "server", "accuracy": {}},
    ]
    _show(odd, terminal=terminal)


def test_log_lines_are_shown_as_they_are() -> None:
    out = io.StringIO()
    with ProgressView(Console(file=out, width=20), None) as view:
        view.on_log("[bold]not markup[/bold] and longer than the console")
    assert out.getvalue() == "[bold]not markup[/bold] and longer than the console\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_failed_attempt_is_told(terminal: bool) -> None:
    reasons = [{"client": 3, "reason": "no reply within the timeout"}]
    event = {"event": "round-failed", "round": 2, "attempt": 1, "rejected": reasons}
    shown = _show([event], terminal=terminal)
    assert "round 2: too few valid replies (attempt 1)" in shown
    assert "the reply of client 3 was rejected: no reply within the timeout" in shown
