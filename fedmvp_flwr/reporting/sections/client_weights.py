"""What each client weighed in the average, and how far that is from equal weights."""

import math
import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.reporting.curves import line_chart, ranges
from fedmvp_flwr.reporting.events import Event, RunRecord, number, numbers
from fedmvp_flwr.reporting.heatmaps import heat_map, two_sided
from fedmvp_flwr.reporting.sections.graph import mean_similarity, similarity
from fedmvp_flwr.reporting.spread import WeightSpread, weight_spread
from fedmvp_flwr.reporting.svg import Plot
from fedmvp_flwr.reporting.tables import Table
from fedmvp_flwr.reporting.text import DASH, decimal, percent, whole

_MOST_ROWS = 60
_MOST_CLIENTS = 40  # rows of a drawing; more clients are shown by the spread alone
_MAP_WIDTH = 8.4  # inches
_SAME = 1e-9
_FINE = 0.095  # relative weights closer to 1 than this are written with a digit more
_RELATIVE = "Weight relative to equal weights"


@dataclass(frozen=True)
class Weights:
    """The clients' weights over the rounds.

    Attributes:
        sentences: the spread in words.
        ranges: mean and range of each client, None for too many clients.
        rounds: weight of each client in each round, None for too many clients.
        distance: distance to equal weights over the rounds.
        table: the same in numbers.
    """

    sentences: list[str]
    ranges: Plot | None
    rounds: Plot | None
    distance: Plot
    table: Table


@dataclass(frozen=True)
class _Round:
    server_round: int
    clients: list[int]
    relative: list[float]
    spread: WeightSpread
    importance: WeightSpread | None
    similarity: float | None


def build(run: RunRecord) -> Weights | None:
    """Describe the weights; None where no round has any."""
    rounds = [found for event in run.rounds if (found := _read(event)) is not None]
    if not rounds:
        return None
    clients = sorted({client for item in rounds for client in item.clients})
    few = len(clients) <= _MOST_CLIENTS
    distances: dict[int, float | None] = {r.server_round: r.spread.distance for r in rounds}
    return Weights(
        _sentences(rounds, _weighting(run)),
        _ranges(rounds, clients) if few else None,
        _map(rounds, clients) if few else None,
        line_chart(
            "distance",
            "Distance of the weights to equal ones over the rounds: "
            f"{percent(rounds[0].spread.distance, 2)} in the first, "
            f"{percent(rounds[-1].spread.distance, 2)} in the last.",
            {"Distance": distances},
            "Distance to equal weights",
            percent=True,
        ),
        _table(rounds),
    )


def _read(event: Event) -> _Round | None:
    clients = numbers(event.get("clients"))
    weights = numbers(event.get("weights"))
    if not clients or not weights or len(clients) != len(weights) or not sum(weights) > 0:
        return None
    ids = [round(client) for client in clients]
    importance = numbers(event.get("importance"))
    fits = importance is not None and len(importance) == len(ids) and sum(importance) > 0
    matrix = similarity(event)
    total = sum(weights)
    return _Round(
        round(event["round"]),
        ids,
        [weight * len(weights) / total for weight in weights],
        weight_spread(ids, weights),
        weight_spread(ids, importance) if fits and importance else None,
        mean_similarity(matrix) if matrix is not None else None,
    )


def _sentences(rounds: list[_Round], weighting: str) -> list[str]:
    last = rounds[-1]
    spread = last.spread
    named = f" (weighting: {weighting})" if weighting else ""
    sentences = [
        f"In round {last.server_round} the weights differ from uniform by "
        f"{percent(spread.distance, 2)}{named}: that share of the whole weight would have to move "
        f"to make the {len(last.clients)} clients equal. {_extremes(spread)}"
    ]
    if len(rounds) > 1:
        distances = [r.spread.distance for r in rounds]
        most = max(rounds, key=lambda r: r.spread.distance)
        sentences.append(
            f"Over {len(rounds)} rounds the difference was "
            f"{percent(statistics.mean(distances), 2)} on average and at most "
            f"{percent(max(distances), 2)}, in round {most.server_round}."
        )
    graph = last.importance
    if graph and abs(graph.distance - spread.distance) > _SAME:
        sentences.append(
            "The importance in the graph alone differs from uniform by "
            f"{percent(graph.distance, 2)} in round {last.server_round}."
        )
    return sentences


def _extremes(spread: WeightSpread) -> str:
    if spread.ratio - 1 < _SAME:
        return f"All have the weight {decimal(spread.largest, 4)}."
    ratio = "" if math.isinf(spread.ratio) else f", a ratio of {decimal(spread.ratio)}"
    return (
        f"The smallest weight is {decimal(spread.smallest, 4)} (client {spread.smallest_client}), "
        f"the largest {decimal(spread.largest, 4)} (client {spread.largest_client}){ratio}."
    )


def _ranges(rounds: list[_Round], clients: list[int]) -> Plot:
    values: dict[int, list[float]] = defaultdict(list)
    for item in rounds:
        for client, relative in zip(item.clients, item.relative, strict=True):
            values[client].append(relative)
    spans = [(min(v), statistics.mean(v), max(v)) for v in (values[c] for c in clients)]
    label = f"{_RELATIVE}, mean and range over the rounds: " + ", ".join(
        f"client {client} {decimal(mean)}"
        for client, (_, mean, _) in zip(clients, spans, strict=True)
    )
    rows = [str(client) for client in clients]
    return ranges(
        "ranges", f"{label}.", rows, spans, f"{_RELATIVE} (dashed: 1)", 1.0, y_label="Client"
    )


def _map(rounds: list[_Round], clients: list[int]) -> Plot:
    shown = rounds[:: -(-len(rounds) // _MOST_ROWS)]
    values = np.full((len(clients), len(shown)), np.nan)
    for column, item in enumerate(shown):
        for client, relative in zip(item.clients, item.relative, strict=True):
            values[clients.index(client), column] = relative - 1
    limit = float(np.nanmax(np.abs(values))) or 1.0
    return heat_map(
        "weights",
        f"Weight of each client in each round: from {percent(float(np.nanmin(values)))} to "
        f"{percent(float(np.nanmax(values)))} relative to equal weights.",
        values,
        two_sided(values, limit),
        [str(client) for client in clients],
        [str(item.server_round) for item in shown],
        axis_labels=("Client", "Round"),
        text=_signed_tenths if limit < _FINE else _signed,
        cell=max(_MAP_WIDTH / max(len(shown), 20), 0.2),
    )


def _weighting(run: RunRecord) -> str:
    try:
        return RunConfig.from_run_config(run.config).method.client_weighting if run.config else ""
    except ConfigError:  # another version's run
        return str(run.config.get("weighting", ""))


def _signed_tenths(value: float) -> str:
    rounded = round(100 * value, 1)
    return f"{rounded:+.1f}".replace("-", "\N{MINUS SIGN}") if rounded else "0"


def _signed(value: float) -> str:
    rounded = round(100 * value)
    return f"{rounded:+d}".replace("-", "\N{MINUS SIGN}") if rounded else "0"


def _table(rounds: list[_Round]) -> Table:
    header = [
        "Round", "Clients", "Smallest weight", "Largest weight", "Largest / smallest",
        "Distance to uniform", "Mean similarity",
    ]  # fmt: skip
    step = -(-len(rounds) // _MOST_ROWS)
    rows = []
    for item in rounds[::-step][::-1]:
        spread = item.spread
        rows.append(
            [
                whole(item.server_round),
                ", ".join(str(client) for client in item.clients[:_MOST_CLIENTS]),
                f"{decimal(spread.smallest, 4)} (client {spread.smallest_client})",
                f"{decimal(spread.largest, 4)} (client {spread.largest_client})",
                _ratio(spread.ratio),
                percent(spread.distance, 2),
                decimal(item.similarity),
            ]
        )
    return Table("Spread of the weights in each round", header, rows)


def _ratio(value: Any) -> str:  # noqa: ANN401 - a number that may be infinite
    return decimal(value) if number(value) is not None else DASH
