"""What a project hears of the rounds, and may say to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flwr.app import ArrayRecord, MetricRecord
from flwr.serverapp import Grid

from fedmvp_flwr.aggregation.replies import Rejection


@dataclass(frozen=True)
class RoundRecord:
    """What happened in a round of training.

    Attributes:
        server_round: 1-based.
        clients: keys of the clients in the average, ascending.
        weights: their weights, summing to 1.
        importance: their CKA graph importance, or None where the weighting needs none.
        similarity: (K, K) CKA matrix, or None.
        metrics: aggregated training metrics.
        rejected: replies that are not valid, and why.
        bytes_up: largest size of a client's arrays.
        bytes_down: size of the arrays that each client was sent.
        seconds: wall time of `train` (sending to last reply) and of `aggregate`, `refine` included.
    """

    server_round: int
    clients: list[int]
    weights: list[float]
    importance: list[float] | None
    similarity: list[list[float]] | None
    metrics: dict[str, float]
    rejected: list[Rejection]
    bytes_up: int
    bytes_down: int
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FinishedRound:
    """What a round ended with.

    Attributes:
        server_round: 1-based.
        arrays: the global arrays.
        at_clients: scores averaged over the clients, or None where none were asked or valid.
        at_server: what `evaluate_fn` gave.
    """

    server_round: int
    arrays: ArrayRecord
    at_clients: MetricRecord | None
    at_server: MetricRecord | None


class RoundObserver:
    """Hears of every step of the rounds and lets everything pass: override what you need.

    Clients go by their keys (see `NodeRegistry`).
    """

    def admit(self, grid: Grid, node_ids: Sequence[int]) -> Sequence[int]:
        """Before each choice of clients: those of the connected nodes that may be chosen."""
        return node_ids

    def may_train(self, client: int) -> bool:
        """Whether a client has anything to train on; it is asked to evaluate in any case."""
        return True

    def check_training(self, client: int, metrics: MetricRecord) -> str | None:
        """Why the reply to a training is rejected by its metrics, or None.

        For metrics that are known: names, ranges, and the number of examples, which some weightings
        weigh a client by. Otherwise any metrics pass that can be averaged with those of the others.
        """
        return None

    def check_evaluation(self, client: int, metrics: MetricRecord) -> str | None:
        """Why the reply to an evaluation is rejected by its metrics, or None."""
        return None

    def attempt_failed(self, server_round: int, attempt: int, rejected: list[Rejection]) -> None:
        """An attempt at a round, counted from 1, had too few valid replies."""

    def trained(self, record: RoundRecord) -> None:
        """The clients have trained, and their arrays are averaged."""

    def evaluated(
        self, server_round: int, scores: MetricRecord | None, rejected: list[Rejection]
    ) -> None:
        """Clients have evaluated: their averaged scores, None without any, and who was left out."""

    def finished(self, finished: FinishedRound) -> bool:
        """A round is over and its checkpoint not yet written; return True to end the run here."""
        return False

    def checkpoint_metadata(self) -> Mapping[str, Any]:
        """JSON values to store in the checkpoint of the round that just finished."""
        return {}
