"""The CKA graph of the clients: who resembles whom, and what weight it earned them."""

from dataclasses import dataclass

import numpy as np

from fedmvp_flwr.reporting.heatmaps import Matrix, heat_map, one_sided, png_uri
from fedmvp_flwr.reporting.run_record import Event, RunRecord
from fedmvp_flwr.reporting.svg import Plot
from fedmvp_flwr.reporting.text import decimal

_MOST_NUMBERS = 12  # clients; larger matrices are drawn without numbers
_MOST_LABELS = 12
_MINI_PIXELS = 200_000  # in all small maps together; bounds the size of the page
_FEWEST_MINIS, _MOST_MINIS = 6, 60


@dataclass(frozen=True)
class Mini:
    """The small heat map of a round."""

    server_round: str
    clients: list[str]  # of rows and columns; empty where they are too many to print
    uri: str
    label: str


@dataclass(frozen=True)
class Graph:
    """The similarity graph over the rounds; `shown` of `total` are drawn."""

    large: list[tuple[str, Plot]]  # first, middle and last round
    minis: list[Mini]
    total: int
    shown: int
    low: str  # similarity that is drawn transparent
    sentence: str


def build(run: RunRecord) -> Graph | None:
    """Draw the graph of every round; None where the method has none."""
    rounds = [(event, m) for event in run.rounds if (m := similarity(event)) is not None]
    if not rounds:
        return None
    low = min(float(matrix.min()) for _, matrix in rounds)
    chosen = sorted({0, len(rounds) // 2, len(rounds) - 1})
    rest = [pair for index, pair in enumerate(rounds) if index not in chosen]
    minis = [_mini(event, matrix, low) for event, matrix in _thinned(rest)]
    large = [_large(*rounds[index], low) for index in chosen]
    first, last = (mean_similarity(rounds[index][1]) for index in (0, -1))
    sentence = (
        f"Mean similarity between two clients: {decimal(first)} in round "
        f"{rounds[0][0]['round']}, {decimal(last)} in round {rounds[-1][0]['round']}."
    )
    return Graph(large, minis, len(rounds), len(minis) + len(large), decimal(low, 2), sentence)


def similarity(event: Event) -> Matrix | None:
    """The (K, K) matrix of a round; None where the method has none."""
    rows = event.get("similarity")
    return np.array(rows, dtype=np.float64) if rows else None


def mean_similarity(matrix: Matrix) -> float | None:
    """Mean over the pairs of different clients; None for a single client."""
    between = _between(matrix)
    return float(between.mean()) if between.size else None


def _between(matrix: Matrix) -> Matrix:
    """The similarities of different clients."""
    return matrix[~np.eye(len(matrix), dtype=bool)]


def _large(event: Event, matrix: Matrix, low: float) -> tuple[str, Plot]:
    server_round = str(event["round"])
    clients = list(map(str, event["clients"]))
    plot = heat_map(
        f"cka-{server_round}",
        _describe(event, matrix),
        matrix,
        one_sided(matrix, low, 1.0),
        clients,
        clients,
        axis_labels=("Client", "Client"),
        text=_two_digits if len(matrix) <= _MOST_NUMBERS else None,
        cell=max(0.36, 2.2 / len(matrix)) if len(matrix) <= _MOST_NUMBERS else 3.6 / len(matrix),
    )
    return server_round, plot


def _mini(event: Event, matrix: Matrix, low: float) -> Mini:
    few = len(matrix) <= _MOST_LABELS
    return Mini(
        str(event["round"]),
        list(map(str, event["clients"])) if few else [],
        png_uri(one_sided(matrix, low, 1.0)),
        _describe(event, matrix),
    )


def _thinned(rounds: list[tuple[Event, Matrix]]) -> list[tuple[Event, Matrix]]:
    pixels = max((matrix.size for _, matrix in rounds), default=1)
    most = int(np.clip(_MINI_PIXELS // pixels, _FEWEST_MINIS, _MOST_MINIS))
    if len(rounds) <= most:
        return rounds
    return [rounds[int(index)] for index in np.linspace(0, len(rounds) - 1, most).round()]


def _describe(event: Event, matrix: Matrix) -> str:
    between = _between(matrix)
    label = f"CKA between {len(matrix)} clients in round {event['round']}"
    if between.size:
        low, high = decimal(float(between.min())), decimal(float(between.max()))
        label += f": from {low} to {high} between different clients"
    return f"{label}."


def _two_digits(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")
