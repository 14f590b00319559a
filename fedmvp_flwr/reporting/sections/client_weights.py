"""What each client weighed in the average, and how far that is from equal weights."""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from fedmvp_flwr.aggregation.weights import distance_to_uniform
from fedmvp_flwr.config.method import MethodSettings
from fedmvp_flwr.reporting.curves import line_chart
from fedmvp_flwr.reporting.heatmaps import Matrix, heat_map, two_sided
from fedmvp_flwr.reporting.run_record import Event, RunRecord
from fedmvp_flwr.reporting.sections.graph import mean_similarity, similarity
from fedmvp_flwr.reporting.svg import Plot
from fedmvp_flwr.reporting.text import DASH, Table, decimal, percent

_MOST_ROWS = 60
_MOST_CLIENTS = 40  # rows of a drawing; more clients are shown by the spread alone
_MAP_WIDTH = 8.4  # inches
_SAME = 1e-9
_FINE = 0.095  # relative weights closer to 1 than this are written with a digit more


@dataclass(frozen=True)
class Weights:
    """The clients' weights over the rounds; None where they are too many to be drawn."""

    sentences: list[str]
    rounds: Plot | None
    distance: Plot  # to equal weights
    table: Table


@dataclass(frozen=True)
class _Round:
    server_round: int
    clients: list[int]
    shares: list[float]
    importance: float | None
    similarity: float | None

    @property
    def distance(self) -> float:
        """Total variation distance to equal weights."""
        return distance_to_uniform(self.shares)

    def extreme(self, choose: Callable[..., float]) -> tuple[float, int]:
        """The smallest or the largest weight (`min` or `max`), and who has it."""
        found = choose(self.shares)
        return found, self.clients[self.shares.index(found)]

    @property
    def ratio(self) -> float:
        """The largest weight by the smallest; infinite where that is 0."""
        low, high = min(self.shares), max(self.shares)
        return high / low if low > 0 else math.inf


def build(run: RunRecord) -> Weights | None:
    """Describe the weights; None before the first round."""
    rounds = [_read(event) for event in run.rounds]
    if not rounds:
        return None
    clients = sorted({client for item in rounds for client in item.clients})
    relative = _relative(rounds, clients) if len(clients) <= _MOST_CLIENTS else None
    distances: dict[int, float | None] = {r.server_round: r.distance for r in rounds}
    return Weights(
        _sentences(rounds, _weighting(run)),
        _map(relative, clients, rounds) if relative is not None else None,
        line_chart(
            "distance",
            "Distance of the weights to equal ones over the rounds: "
            f"{percent(rounds[0].distance, 2)} in the first, "
            f"{percent(rounds[-1].distance, 2)} in the last.",
            {"Distance": distances},
            "Distance to equal weights",
            percent=True,
        ),
        _table(rounds),
    )


def _read(event: Event) -> _Round:
    matrix = similarity(event)
    return _Round(
        event["round"],
        event["clients"],
        _shares(event["weights"]),
        distance_to_uniform(_shares(event["importance"])) if event.get("importance") else None,
        None if matrix is None else mean_similarity(matrix),
    )


def _shares(weights: list[float]) -> list[float]:
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def _sentences(rounds: list[_Round], weighting: str) -> list[str]:
    last = rounds[-1]
    named = f" (weighting: {weighting})" if weighting else ""
    sentences = [
        f"In round {last.server_round} the weights differ from uniform by "
        f"{percent(last.distance, 2)}{named}: that share of the whole weight would have to move "
        f"to make the {len(last.clients)} clients equal. {_extremes(last)}"
    ]
    if len(rounds) > 1:
        most = max(rounds, key=lambda r: r.distance)
        mean = statistics.mean(r.distance for r in rounds)
        sentences.append(
            f"Over {len(rounds)} rounds the difference was {percent(mean, 2)} on average and at "
            f"most {percent(most.distance, 2)}, in round {most.server_round}."
        )
    if last.importance is not None and abs(last.importance - last.distance) > _SAME:
        sentences.append(
            "The importance in the graph alone differs from uniform by "
            f"{percent(last.importance, 2)} in round {last.server_round}."
        )
    return sentences


def _extremes(last: _Round) -> str:
    (low, low_client), (high, high_client) = last.extreme(min), last.extreme(max)
    if last.ratio - 1 < _SAME:
        return f"All have the weight {decimal(high, 4)}."
    ratio = "" if math.isinf(last.ratio) else f", a ratio of {decimal(last.ratio)}"
    return (
        f"The smallest weight is {decimal(low, 4)} (client {low_client}), "
        f"the largest {decimal(high, 4)} (client {high_client}){ratio}."
    )


def _relative(rounds: list[_Round], clients: list[int]) -> Matrix:
    """Weights relative to equal ones (clients, rounds), NaN where a client was not in a round."""
    relative = np.full((len(clients), len(rounds)), np.nan)
    for column, item in enumerate(rounds):
        rows = np.searchsorted(clients, item.clients)
        relative[rows, column] = np.array(item.shares) * len(item.shares)
    return relative


def _map(relative: Matrix, clients: list[int], rounds: list[_Round]) -> Plot:
    step = -(-len(rounds) // _MOST_ROWS)
    values = relative[:, ::step] - 1
    limit = float(np.nanmax(np.abs(values))) or 1.0
    return heat_map(
        "weights",
        f"Weight of each client in each round: from {percent(float(np.nanmin(values)))} to "
        f"{percent(float(np.nanmax(values)))} relative to equal weights.",
        values,
        two_sided(values, limit),
        [str(client) for client in clients],
        [str(item.server_round) for item in rounds[::step]],
        axis_labels=("Client", "Round"),
        text=partial(_signed, digits=1 if limit < _FINE else 0),
        cell=max(_MAP_WIDTH / max(values.shape[1], 20), 0.2),
    )


def _weighting(run: RunRecord) -> str:
    own = run.config.keys() & {*MethodSettings.keys()}
    settings = MethodSettings.model_validate({key: run.config[key] for key in own})
    return settings.client_weighting if own else ""


def _signed(value: float, digits: int) -> str:
    percents = round(100 * value, digits)
    return f"{percents:+.{digits}f}".replace("-", "\N{MINUS SIGN}") if percents else "0"


def _table(rounds: list[_Round]) -> Table:
    header = [
        "Round", "Clients", "Smallest weight", "Largest weight", "Largest / smallest",
        "Distance to uniform", "Mean similarity",
    ]  # fmt: skip
    step = -(-len(rounds) // _MOST_ROWS)
    rows = [
        [
            str(item.server_round),
            ", ".join(str(client) for client in item.clients[:_MOST_CLIENTS]),
            *(f"{decimal(w, 4)} (client {c})" for w, c in map(item.extreme, (min, max))),
            decimal(item.ratio) if math.isfinite(item.ratio) else DASH,
            percent(item.distance, 2),
            decimal(item.similarity),
        ]
        for item in rounds[::-step][::-1]
    ]
    return Table("Spread of the weights in each round", header, rows)
