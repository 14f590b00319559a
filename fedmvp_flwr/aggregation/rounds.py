"""The rounds of a run: train, again where too few replies were valid, evaluate, go on or stop.

Flower's own loop starts at round 1 and ends at the last one. This one can begin later (a resumed
run goes by the true number of the round), repeat a round, and end early.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from logging import INFO, WARNING
from typing import TYPE_CHECKING

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.common.logger import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result

from fedmvp_flwr.aggregation.replies import Rejection
from fedmvp_flwr.base.errors import TooFewRepliesError

if TYPE_CHECKING:
    from fedmvp_flwr.aggregation.strategy import FedMVP

Evaluate = Callable[[int, ArrayRecord], MetricRecord | None]


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
        rejected: replies that were left out, and why.
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


@dataclass
class Rounds:
    """Runs the rounds of a strategy.

    Attributes:
        strategy: configures and aggregates.
        grid: sends the messages.
        timeout: seconds to wait for the replies to a message.
        train_config: sent with each training message.
        evaluate_config: sent with each evaluation message.
        evaluate_fn: evaluates the global arrays at the server.
    """

    strategy: "FedMVP"
    grid: Grid
    timeout: float
    train_config: ConfigRecord
    evaluate_config: ConfigRecord
    evaluate_fn: Evaluate | None

    def run(self, arrays: ArrayRecord, first: int, last: int) -> Result:
        """Run the rounds `first` to `last` from the given arrays; none, if `first` > `last`.

        Raises:
            RoundError: a round failed for good.
        """
        began = time.monotonic()
        result = Result()
        result.arrays = arrays
        if first == 1 and self.evaluate_fn:
            self._record(result.evaluate_metrics_serverapp, 0, self.evaluate_fn(0, arrays))
        for server_round in range(first, last + 1):
            log(INFO, "")
            log(INFO, "[ROUND %d/%d]", server_round, last)
            finished = self._run_round(server_round, result)
            if self.strategy.finish_round(finished):
                log(INFO, "Stopped after round %d of %d.", server_round, last)
                break
        log(INFO, "Strategy execution finished in %.2fs", time.monotonic() - began)
        return result

    def _run_round(self, server_round: int, result: Result) -> FinishedRound:
        arrays, train_metrics = self._train(server_round, result.arrays)
        result.arrays = arrays
        self._record(result.train_metrics_clientapp, server_round, train_metrics)
        replies = self.grid.send_and_receive(
            self.strategy.configure_evaluate(server_round, arrays, self.evaluate_config, self.grid),
            timeout=self.timeout,
        )
        at_clients = self.strategy.aggregate_evaluate(server_round, replies)
        self._record(result.evaluate_metrics_clientapp, server_round, at_clients)
        at_server = self.evaluate_fn(server_round, arrays) if self.evaluate_fn else None
        self._record(result.evaluate_metrics_serverapp, server_round, at_server)
        return FinishedRound(server_round, arrays, at_clients, at_server)

    def _train(
        self, server_round: int, arrays: ArrayRecord
    ) -> tuple[ArrayRecord, MetricRecord | None]:
        for attempt in range(self.strategy.round_retries + 1):
            self.strategy.attempt = attempt
            replies = self.grid.send_and_receive(
                self.strategy.configure_train(server_round, arrays, self.train_config, self.grid),
                timeout=self.timeout,
            )
            try:
                averaged, metrics = self.strategy.aggregate_train(server_round, replies)
                return averaged or arrays, metrics
            except TooFewRepliesError as error:
                if attempt == self.strategy.round_retries:
                    raise
                log(WARNING, "%s The round is repeated.", error)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @staticmethod
    def _record(
        history: dict[int, MetricRecord], server_round: int, metrics: MetricRecord | None
    ) -> None:
        if metrics is not None:
            log(INFO, "\t└──> Aggregated MetricRecord: %s", metrics)
            history[server_round] = metrics
