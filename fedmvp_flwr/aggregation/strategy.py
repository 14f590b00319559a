"""FedMVP as a Flower strategy: clients weigh as much as the CKA graph says (paper, section 3.3).

The strategy knows nothing of images, texts or our model. It takes a probe and a function that
represents the probe with a client's arrays; both can come from any project.
"""

from collections.abc import Callable, Iterable, Sequence
from logging import INFO
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.common.logger import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, Result
from torch import Tensor

from fedmvp_flwr.aggregation.averaging import require_finite, weighted_average
from fedmvp_flwr.aggregation.exchange import Exchange
from fedmvp_flwr.aggregation.nodes import NodeRegistry
from fedmvp_flwr.aggregation.observer import RoundObserver
from fedmvp_flwr.aggregation.options import RoundOptions
from fedmvp_flwr.aggregation.replies import Reply
from fedmvp_flwr.aggregation.representations import ClientGraph, Represent, represent_all
from fedmvp_flwr.aggregation.rounds import Evaluate, Rounds
from fedmvp_flwr.aggregation.weights import GRAPH_WEIGHTINGS, Weighting, client_weights

Refine = Callable[[int, ArrayRecord, Any], ArrayRecord]


class FedMVP(FedAvg):
    """Federated averaging weighted by the CKA similarity graph of the clients.

    A round is importance -> weights -> average -> refinement: override `select`, `weights`,
    `average` or `server_step`. The rest of it is in `Exchange` (questions, answers) and `Rounds`.

    Args:
        probe: what `represent` is given, any object; required by the weightings of the graph.
        represent: from a client's arrays (as received) and the probe to (m, d) representations of
            its m >= 2 samples.
        weighting: `importance` (the paper's), `uniform`, `examples` or `importance-examples`.
        graph_temperature: below 1 sharpens the graph (see `graph_importance`).
        refine: from round, averaged arrays and probe to the next global arrays; None: the average.
        seed: fixes which clients are chosen in which round.
        options: retries, evaluation, checkpoints, ...; None for the defaults.
        observer: hears what happens, and may admit clients and refuse replies.
        nodes: knows the clients' keys; None for a new one.
        **fedavg: arguments of Flower's FedAvg.

    Raises:
        ValueError: an unknown weighting, or it needs the graph and `probe` or `represent` is None.
    """

    def __init__(
        self,
        probe: Any = None,  # noqa: ANN401 - whatever `represent` takes
        represent: Represent | None = None,
        *,
        weighting: Weighting = "importance",
        graph_temperature: float = 1.0,
        refine: Refine | None = None,
        seed: int = 0,
        options: RoundOptions | None = None,
        observer: RoundObserver | None = None,
        nodes: NodeRegistry | None = None,
        **fedavg: Any,  # noqa: ANN401 - FedAvg's own
    ) -> None:
        super().__init__(**fedavg)
        client_weights(weighting, [1.0], [1.0])  # refuses an unknown weighting now
        if weighting in GRAPH_WEIGHTINGS and (probe is None or represent is None):
            raise ValueError(
                f"weighting='{weighting}' compares the clients on a probe: give probe and "
                "represent, or use weighting='uniform' or 'examples'."
            )
        self.probe = probe
        self.represent = represent if weighting in GRAPH_WEIGHTINGS else None
        self.weighting = weighting
        self.graph_temperature = graph_temperature
        self.refine = refine
        self.exchange = Exchange(self, seed, options, observer, nodes)

    def summary(self) -> None:
        """Log the settings of the strategy."""
        log(INFO, "\t├──> FedMVP:")
        log(INFO, "\t│\t├──Weighting: %s", self.weighting)
        log(INFO, "\t│\t├──Graph temperature: %g", self.graph_temperature)
        log(INFO, "\t│\t└──Seed of the sampling: %d", self.exchange.seed)
        super().summary()

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600.0,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Evaluate | None = None,
        *,
        first_round: int = 1,
    ) -> Result:
        """Run the rounds `first_round` to `num_rounds`; the rest is as in Flower's `Strategy`.

        A `first_round` after 1 goes on with an earlier run, from the arrays of the round before.

        Raises:
            RoundError: too few nodes, or too few valid replies in every attempt at a round.
        """
        train, evaluate = train_config or ConfigRecord(), evaluate_config or ConfigRecord()
        rounds = Rounds(self, self.exchange, grid, timeout, train, evaluate, evaluate_fn)
        return rounds.run(initial_arrays, first_round, num_rounds)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Choose the clients of the round, reproducibly, and address the global arrays to them."""
        return self.exchange.ask_to_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Average the valid replies by their weights.

        Raises:
            TooFewRepliesError: fewer than `min_replies` replies were valid.
            RoundError: the average, or what `server_step` made of it, is not finite.
        """
        if self.fraction_train == 0.0:
            return None, None
        valid, rejected = self.exchange.trained(replies)
        graph = ClientGraph()
        if self.represent is not None:
            graph, valid, unrepresentable = represent_all(valid, self.represent, self.probe)
            rejected = rejected + unrepresentable
        self.exchange.require_enough(valid, rejected)
        positions = self.select(valid, graph.similarity)
        chosen, graph = [valid[i] for i in positions], graph.of(positions)
        importance = graph.importance(self.graph_temperature)
        weights = self.weights(chosen, importance)
        average = self.average(chosen, weights)
        require_finite(average, f"Round {server_round}: the average")
        arrays = self.server_step(server_round, average)
        if arrays is not average:
            require_finite(arrays, f"Round {server_round}: the refined average")
        metrics = self.exchange.conclude(chosen, weights, importance, graph.similarity, rejected)
        return arrays, metrics

    def select(self, replies: Sequence[Reply], similarity: Tensor | None) -> Sequence[int]:
        """Choose the replies that enter the average: all of them.

        Args:
            replies: valid ones, ordered by client.
            similarity: (K, K) CKA of these clients, or None where the weighting needs no graph.

        Returns:
            Their positions in `replies`, ascending, at least one.
        """
        return range(len(replies))

    def weights(self, replies: Sequence[Reply], importance: Sequence[float] | None) -> list[float]:
        """Weigh the clients by the `weighting` of the strategy.

        Args:
            replies: those that enter the average.
            importance: their shares of the CKA graph, or None where the weighting needs no graph.

        Returns:
            A weight per reply, not negative; they sum to 1.
        """
        return client_weights(self.weighting, [r.num_examples for r in replies], importance)

    def average(self, replies: Sequence[Reply], weights: Sequence[float]) -> ArrayRecord:
        """Average the arrays of the clients in float64; names and types are those that were sent.

        Args:
            replies: those that enter the average.
            weights: one per reply; they sum to 1.
        """
        return weighted_average(replies, weights, self.exchange.global_arrays)

    def server_step(self, server_round: int, average: ArrayRecord) -> ArrayRecord:
        """Make the global arrays of the next round of the average: `refine` it, if that is given.

        Args:
            server_round: 1-based.
            average: of this round, finite.
        """
        return self.refine(server_round, average, self.probe) if self.refine else average

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask clients to evaluate, in the rounds that `evaluate_every` names and in the last."""
        return self.exchange.ask_to_evaluate(server_round, arrays, config, grid)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Average the metrics of the valid replies, in the order of the clients; None if none."""
        return self.exchange.evaluated(server_round, replies)
