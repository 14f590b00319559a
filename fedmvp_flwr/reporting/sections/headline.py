"""What ran, how it ended, and the one number that counts."""

from dataclasses import dataclass
from datetime import datetime

from fedmvp_flwr.reporting.run_record import RunRecord
from fedmvp_flwr.reporting.sections.scores import Scores
from fedmvp_flwr.reporting.text import DASH, count, duration, percent

_METHODS = {"fedmvp": "FedMVP", "fedavg": "FedAvg", "server-only": "Server alone"}
_STATUS_SIGNS = {"completed": "✓", "failed": "✗"}
_UNFINISHED_SIGN = "…"


@dataclass(frozen=True)
class Headline:
    """The head of the page; what is unknown is empty."""

    title: str
    status: str
    sign: str
    reason: str  # why the run failed, or what an unfinished one lacks
    sentence: str  # the result
    facts: list[tuple[str, str]]
    when: str


def build(run: RunRecord, scores: Scores) -> Headline:
    """Collect the head of the page."""
    config = run.config
    method = str(config.get("method", ""))
    title = _METHODS.get(method, method) or "Run"
    if config.get("dataset"):
        title += f" on {config['dataset']}"
    reason = run.reason
    if run.status == "unfinished":
        reason = "The run is still going on, or was stopped: its last event is missing."
    return Headline(
        title=title,
        status=run.status,
        sign=_STATUS_SIGNS.get(run.status, _UNFINISHED_SIGN),
        reason=reason,
        sentence=_sentence(scores),
        facts=[
            ("Method", _method(run)),
            ("Data set", str(config.get("dataset", DASH))),
            ("Clients", _clients(run)),
            ("Rounds", _rounds(run)),
            ("Missing ratio", percent(config.get("missing-ratio"), 0)),
            ("Status", run.status),
        ],
        when=_when(run),
    )


def _sentence(scores: Scores) -> str:
    accuracy = scores.values.get("accuracy", {})
    if accuracy.get("complete") is None:
        return ""
    parts = [f"{percent(accuracy['complete'])} of the complete test samples are classified right"]
    alone = [
        f"{percent(accuracy[key])} from the {name} alone"
        for key, name in (("image-only", "image"), ("text-only", "text"))
        if accuracy.get(key) is not None
    ]
    return ", ".join(parts + alone) + "."


def _method(run: RunRecord) -> str:
    config = run.config
    name = _METHODS.get(str(config.get("method")), str(config.get("method", DASH)))
    counts = [c for client in run.clients for c in client["completions"].values()]
    if run.clients and not any(any(by_fate.values()) for by_fate in counts):
        name += ", no completion"
    if config.get("incomplete") == "drop":
        name += ", incomplete samples dropped"
    return name


def _clients(run: RunRecord) -> str:
    if not run.clients:
        return DASH
    share = run.config.get("fraction-train", 1.0)
    per_round = f" ({percent(share, 0)} per round)" if share < 1 else ""
    return count(len(run.clients)) + per_round


def _rounds(run: RunRecord) -> str:
    done = len(run.rounds)
    planned = run.config.get("num-server-rounds", done)
    return count(done) if done == planned else f"{count(done)} of {count(planned)}"


def _when(run: RunRecord) -> str:
    try:
        started = datetime.fromisoformat(run.started)
        ended = datetime.fromisoformat(run.ended)
    except ValueError:
        return ""
    took = duration((ended - started).total_seconds())
    return f"Started {started:%Y-%m-%d %H:%M} UTC, took {took}"
