"""The rounds of a run: train, again where too few replies were valid, evaluate, go on or stop.

Flower's own loop starts at round 1 and ends at the last one. This one can begin later (a resumed
run goes by the true number of the round), repeat a round, and end early.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from logging import INFO, WARNING

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.common.logger import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, Result

from fedmvp_flwr.aggregation.checkpoint import CheckpointStore
from fedmvp_flwr.aggregation.exchange import Exchange
from fedmvp_flwr.aggregation.observer import FinishedRound
from fedmvp_flwr.base.errors import TooFewRepliesError

Evaluate = Callable[[int, ArrayRecord], MetricRecord | None]
"""From a round and its global arrays to their scores at the server."""


@dataclass(frozen=True)
class Rounds:
    """Runs the rounds of a strategy.

    Attributes:
        strategy: configures and aggregates.
        exchange: with the clients; the strategy asks them through it.
        grid: sends the messages.
        timeout: seconds to wait for the replies to a message.
        train_config: sent with each training message.
        evaluate_config: sent with each evaluation message.
        evaluate_fn: evaluates the global arrays at the server.
    """

    strategy: FedAvg
    exchange: Exchange
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
        log(INFO, "Starting %s strategy:", type(self.strategy).__name__)
        self.strategy.summary()
        began = time.monotonic()
        self.exchange.begin(last)
        result = Result()
        result.arrays = arrays
        if first == 1 and self.evaluate_fn:
            _keep(result.evaluate_metrics_serverapp, 0, self.evaluate_fn(0, arrays))
        for server_round in range(first, last + 1):
            log(INFO, "")
            log(INFO, "[ROUND %d/%d]", server_round, last)
            if self._finish(self._run_round(server_round, result)):
                log(INFO, "Stopped after round %d of %d.", server_round, last)
                break
        log(INFO, "Strategy execution finished in %.2fs", time.monotonic() - began)
        return result

    def _run_round(self, server_round: int, result: Result) -> FinishedRound:
        arrays, train_metrics = self._train(server_round, result.arrays)
        result.arrays = arrays
        _keep(result.train_metrics_clientapp, server_round, train_metrics)
        replies = self.grid.send_and_receive(
            self.strategy.configure_evaluate(server_round, arrays, self.evaluate_config, self.grid),
            timeout=self.timeout,
        )
        at_clients = self.strategy.aggregate_evaluate(server_round, replies)
        _keep(result.evaluate_metrics_clientapp, server_round, at_clients)
        at_server = self.evaluate_fn(server_round, arrays) if self.evaluate_fn else None
        _keep(result.evaluate_metrics_serverapp, server_round, at_server)
        return FinishedRound(server_round, arrays, at_clients, at_server)

    def _train(
        self, server_round: int, arrays: ArrayRecord
    ) -> tuple[ArrayRecord, MetricRecord | None]:
        retries_left = self.exchange.options.round_retries
        while True:
            replies = self.grid.send_and_receive(
                self.strategy.configure_train(server_round, arrays, self.train_config, self.grid),
                timeout=self.timeout,
            )
            try:
                averaged, metrics = self.strategy.aggregate_train(server_round, replies)
                return averaged or arrays, metrics
            except TooFewRepliesError as error:
                if not retries_left:
                    raise
                retries_left -= 1
                log(WARNING, "%s The round is repeated.", error)

    def _finish(self, finished: FinishedRound) -> bool:
        """Tell of the end of a round and save its checkpoint; whether the run is to end here."""
        observer, folder = self.exchange.observer, self.exchange.options.checkpoint_dir
        stop = observer.finished(finished)
        if folder:
            metadata = dict(observer.checkpoint_metadata())
            CheckpointStore(folder).save(finished.server_round, finished.arrays, metadata)
        return stop


def _keep(
    history: dict[int, MetricRecord], server_round: int, metrics: MetricRecord | None
) -> None:
    if metrics is not None:
        log(INFO, "\t└──> Aggregated MetricRecord: %s", metrics)
        history[server_round] = metrics
