"""FedMVP as a Flower strategy: clients weigh as much as the CKA graph says (paper, section 3.3).

The strategy knows nothing of images, texts or our model. It takes a probe and a function that
represents the probe with a client's arrays; both can come from any project.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from logging import INFO, WARNING
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.common.logger import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, Result
from torch import Tensor

from fedmvp_flwr.aggregation.attribution import by_question, unanswered
from fedmvp_flwr.aggregation.averaging import require_finite, weighted_average
from fedmvp_flwr.aggregation.checkpoint import CheckpointStore
from fedmvp_flwr.aggregation.choices import Weighting
from fedmvp_flwr.aggregation.cka import cka_matrix, graph_importance
from fedmvp_flwr.aggregation.compression import wrap
from fedmvp_flwr.aggregation.nodes import Admit, NodeRegistry
from fedmvp_flwr.aggregation.replies import Rejection, check_evaluations, check_replies, refuse
from fedmvp_flwr.aggregation.reply_metrics import MetricCheck, average_metrics
from fedmvp_flwr.aggregation.representations import Represent, represent_all
from fedmvp_flwr.aggregation.rounds import Evaluate, FinishedRound, RoundRecord, Rounds
from fedmvp_flwr.aggregation.weights import client_weights, distance_to_uniform
from fedmvp_flwr.base.errors import TooFewRepliesError
from fedmvp_flwr.base.seeds import numpy_generator

Refine = Callable[[int, ArrayRecord, Any], ArrayRecord]
Metadata = Mapping[str, Any] | Callable[[], Mapping[str, Any]]
_REPLY_TIMEOUT = 3600.0  # seconds; Flower's own default
_NODE_TIMEOUT = 600.0  # seconds to wait for enough connected nodes


class FedMVP(FedAvg):
    """Federated averaging weighted by the CKA similarity graph of the clients.

    Args:
        probe: what `represent` is given, any object; required by the weightings that use the
            graph.
        represent: function from a client's arrays (as received) and the probe to (m, d)
            representations of its m >= 2 samples.
        weighting: `importance` (the paper's), `uniform`, `examples` (FedAvg's) or
            `importance-examples`.
        graph_temperature: below 1 sharpens the graph (see `graph_importance`).
        refine: function from the round, the averaged arrays and the probe to the arrays of the next
            round, for example further training on the probe; None keeps the average.
        parcel: send the arrays to the clients as one (`fedmvp_flwr.aggregation.compression`), which
            costs far fewer requests; the clients have to unwrap it. Replies may come either way.
        seed: fixes which clients are chosen in which round.
        evaluate_every: ask the clients to evaluate each so many rounds, and after the last.
        min_replies: valid replies that a round needs, at least 1.
        round_retries: how often a round with fewer is repeated, with newly chosen clients.
        checkpoint_dir: folder of a checkpoint per round; None saves nothing.
        checkpoint_metadata: JSON values to store in each checkpoint, or a function that gives them.
        check_training: called with a client's key and the metrics of its reply to a training;
            returns why the reply is rejected, or None. For metrics that are known: names, ranges,
            and the number of examples, which some weightings weigh a client by. Without it any
            metrics pass that can be averaged with those of the others.
        check_evaluation: the same for an evaluation.
        on_round: called with the record of each round of training.
        on_retry: called with round, attempt (from 1) and rejections of each attempt that had too
            few valid replies.
        on_evaluate: called with the round and the scores averaged over the clients.
        on_rejected: called with the round and the rejections of each evaluation that had any.
        on_finished: called at the end of each round, before its checkpoint; True ends the run.
        admit: called with the connected nodes before each choice; returns those that may be chosen.
        idle: keys of clients that are never asked to train (they have nothing to train on).
        node_timeout: seconds to wait for enough connected nodes.
        **fedavg: arguments of Flower's FedAvg.

    Raises:
        ValueError: the weighting needs the graph, and the probe or `represent` is missing.
    """

    def __init__(
        self,
        probe: Any = None,  # noqa: ANN401 - whatever `represent` takes
        represent: Represent | None = None,
        *,
        weighting: Weighting = "importance",
        graph_temperature: float = 1.0,
        refine: Refine | None = None,
        parcel: bool = False,
        seed: int = 0,
        evaluate_every: int = 1,
        min_replies: int = 1,
        round_retries: int = 0,
        checkpoint_dir: Path | None = None,
        checkpoint_metadata: Metadata | None = None,
        check_training: MetricCheck | None = None,
        check_evaluation: MetricCheck | None = None,
        on_round: Callable[[RoundRecord], None] | None = None,
        on_retry: Callable[[int, int, list[Rejection]], None] | None = None,
        on_evaluate: Callable[[int, MetricRecord], None] | None = None,
        on_rejected: Callable[[int, list[Rejection]], None] | None = None,
        on_finished: Callable[[FinishedRound], bool] | None = None,
        admit: Admit | None = None,
        idle: AbstractSet[int] = frozenset(),
        node_timeout: float = _NODE_TIMEOUT,
        **fedavg: Any,  # noqa: ANN401 - FedAvg's own
    ) -> None:
        super().__init__(**fedavg)
        client_weights(weighting, [1.0], [1.0])  # refuses an unknown weighting now
        self.uses_graph = weighting in ("importance", "importance-examples")
        if self.uses_graph and (probe is None or represent is None):
            raise ValueError(
                f"weighting='{weighting}' compares the clients on a probe: give probe and "
                "represent, or use weighting='uniform' or 'examples'."
            )
        self.probe = probe
        self.represent = represent
        self.weighting = weighting
        self.graph_temperature = graph_temperature
        self.refine = refine
        self.parcel = parcel
        self.seed = seed
        self.evaluate_every = evaluate_every
        if min_replies < 1 or round_retries < 0:
            raise ValueError(
                f"min_replies must be at least 1 and round_retries at least 0, got {min_replies} "
                f"and {round_retries}."
            )
        self.min_replies = min_replies
        self.round_retries = round_retries
        self.attempt = 0
        self.checkpoint_metadata = checkpoint_metadata or {}
        self.check_training = check_training
        self.check_evaluation = check_evaluation
        self.on_round = on_round
        self.on_retry = on_retry
        self.on_evaluate = on_evaluate
        self.on_rejected = on_rejected
        self.on_finished = on_finished
        self.idle = idle
        self.node_timeout = node_timeout
        self.nodes = NodeRegistry(admit)
        self._checkpoints = CheckpointStore(checkpoint_dir) if checkpoint_dir else None
        self._last_round = 0
        self._sent_arrays = ArrayRecord()
        self._sent_bytes = 0
        self._sent: list[Message] = []
        self._sent_evaluate: list[Message] = []
        self._sent_at = 0.0

    def summary(self) -> None:
        """Log the settings of the strategy."""
        log(INFO, "\t├──> FedMVP:")
        log(INFO, "\t│\t├──Weighting: %s", self.weighting)
        log(INFO, "\t│\t├──Graph temperature: %g", self.graph_temperature)
        log(INFO, "\t│\t└──Seed of the sampling: %d", self.seed)
        super().summary()

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = _REPLY_TIMEOUT,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Evaluate | None = None,
        *,
        first_round: int = 1,
    ) -> Result:
        """Run the rounds `first_round` to `num_rounds`.

        The arguments are those of `flwr.serverapp.strategy.Strategy.start`, and one more.

        Args:
            grid: sends the messages.
            initial_arrays: the global arrays to begin with.
            num_rounds: number of the last round.
            timeout: seconds to wait for replies.
            train_config: sent with each training message.
            evaluate_config: sent with each evaluation message.
            evaluate_fn: evaluates global arrays at the server, called with their round.
            first_round: later than 1 to go on with an earlier run, from the arrays of the round
                before; learning rates, sampling and evaluation go by the true number.

        Raises:
            RoundError: too few nodes, or too few valid replies in every attempt at a round.
        """
        log(INFO, "Starting %s strategy:", type(self).__name__)
        self.summary()
        self._last_round = num_rounds
        rounds = Rounds(
            self,
            grid,
            timeout,
            train_config if train_config is not None else ConfigRecord(),
            evaluate_config if evaluate_config is not None else ConfigRecord(),
            evaluate_fn,
        )
        return rounds.run(initial_arrays, first_round, num_rounds)

    def finish_round(self, finished: FinishedRound) -> bool:
        """Tell of the end of a round and save its checkpoint; whether the run is to end here."""
        stop = bool(self.on_finished and self.on_finished(finished))
        if self._checkpoints:
            given = self.checkpoint_metadata
            metadata = given() if callable(given) else given
            self._checkpoints.save(finished.server_round, finished.arrays, dict(metadata))
        return stop

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Choose the clients of the round, reproducibly, and address the global arrays to them."""
        if self.fraction_train == 0.0:
            return []
        chosen = self._choose(
            grid, self.fraction_train, self.min_train_nodes, "train", server_round
        )
        self._sent_arrays = arrays
        self._sent = self._messages(server_round, arrays, config, chosen, MessageType.TRAIN)
        self._sent_at = time.monotonic()
        return self._sent

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Average the valid replies by their weights.

        Raises:
            TooFewRepliesError: fewer than `min_replies` replies were valid.
            RoundError: the average, or what `refine` made of it, is not finite.
        """
        if self.fraction_train == 0.0:
            return None, None
        received = time.monotonic()
        known, refused = self._attributed(replies, self._sent, self.check_training)
        valid, rejected = check_replies(known, self._sent_arrays, self.weighted_by_key)
        reps: Tensor | None = None
        unrepresentable: list[Rejection] = []
        if self.uses_graph and self.represent is not None:
            reps, valid, unrepresentable = represent_all(valid, self.represent, self.probe)
        rejected = refused + rejected + unrepresentable
        self._log_rejected(server_round, rejected)
        if len(valid) < self.min_replies:
            raise self._too_few(server_round, len(valid), rejected)

        importance = (
            graph_importance(reps, self.graph_temperature).tolist() if reps is not None else None
        )
        examples = [reply.num_examples for reply in valid]
        weights = client_weights(self.weighting, examples, importance)
        arrays = weighted_average(valid, weights, self._sent_arrays)
        require_finite(arrays, f"Round {server_round}: the average")
        if self.refine is not None:
            arrays = self.refine(server_round, arrays, self.probe)
            require_finite(arrays, f"Round {server_round}: the refined average")
        contents = [reply.message.content for reply in valid]
        metrics = average_metrics(
            server_round, self.train_metrics_aggr_fn, contents, self.weighted_by_key
        )
        self._finish(
            RoundRecord(
                server_round,
                [reply.client for reply in valid],
                weights,
                importance,
                cka_matrix(reps).tolist() if reps is not None else None,
                {
                    name: float(value)
                    for name, value in (metrics or {}).items()
                    if isinstance(value, int | float)
                },
                rejected,
                max(reply.bytes for reply in valid),
                self._sent_bytes,
                {"train": received - self._sent_at, "aggregate": time.monotonic() - received},
            )
        )
        return arrays, metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask clients to evaluate, in the rounds that `evaluate_every` names and in the last."""
        due = server_round % self.evaluate_every == 0 or server_round == self._last_round
        self._sent_evaluate = []
        if self.fraction_evaluate == 0.0 or not due:
            return []
        chosen = self._choose(
            grid, self.fraction_evaluate, self.min_evaluate_nodes, "evaluate", server_round
        )
        self._sent_evaluate = self._messages(
            server_round, arrays, config, chosen, MessageType.EVALUATE
        )
        return self._sent_evaluate

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Average the metrics of the valid replies, in the order of the clients; None if none."""
        known, refused = self._attributed(replies, self._sent_evaluate, self.check_evaluation)
        valid, rejected = check_evaluations(known, self.weighted_by_key)
        rejected = refused + rejected
        self._log_rejected(server_round, rejected)
        if rejected and self.on_rejected:
            self.on_rejected(server_round, rejected)
        if not valid:
            return None
        contents = [message.content for message in valid]
        metrics = average_metrics(
            server_round, self.evaluate_metrics_aggr_fn, contents, self.weighted_by_key
        )
        if metrics is not None and self.on_evaluate:
            self.on_evaluate(server_round, metrics)
        return metrics

    def _attributed(
        self, replies: Iterable[Message], sent: Sequence[Message], check: MetricCheck | None
    ) -> tuple[list[tuple[int, Message]], list[Rejection]]:
        """The replies by client, and the rejections of those that are missing or are refused."""
        known = by_question(list(replies), sent, self.nodes.key)
        missing = unanswered(known, sent, self.nodes.key)
        kept, refused = refuse(known, check) if check else (known, [])
        return kept, missing + refused

    def _choose(
        self, grid: Grid, fraction: float, minimum: int, purpose: str, server_round: int
    ) -> list[int]:
        nodes = self.nodes.connected(
            grid, max(self.min_available_nodes, minimum), self.node_timeout
        )
        if purpose == "train":
            nodes = [node for node in nodes if self.nodes.key(node) not in self.idle]
        size = min(max(int(len(nodes) * fraction), minimum), len(nodes))
        again = ("attempt", self.attempt) if self.attempt and purpose == "train" else ()
        generator = numpy_generator(self.seed, "sampling", purpose, server_round, *again)
        chosen = sorted(generator.choice(len(nodes), size=size, replace=False).tolist())
        log(INFO, "%s: chose %d of %d clients.", purpose, size, len(nodes))
        return [nodes[index] for index in chosen]

    def _messages(
        self,
        server_round: int,
        arrays: ArrayRecord,
        config: ConfigRecord,
        node_ids: Sequence[int],
        message_type: str,
    ) -> list[Message]:
        config["server-round"] = server_round
        sent = wrap(arrays) if self.parcel else arrays
        self._sent_bytes = sent.count_bytes()
        record = RecordDict({self.arrayrecord_key: sent, self.configrecord_key: config})
        return [Message(record, node_id, message_type) for node_id in node_ids]

    @staticmethod
    def _log_rejected(server_round: int, rejected: list[Rejection]) -> None:
        for item in rejected:
            log(
                WARNING,
                "Round %d: reply of client %d rejected: %s.",
                server_round,
                item.client,
                item.reason,
            )

    def _finish(self, record: RoundRecord) -> None:
        spread = ", ".join(
            f"{c}: {w:.3f}" for c, w in zip(record.clients, record.weights, strict=True)
        )
        log(
            INFO,
            "Weights: %s (%.1f%% from uniform).",
            spread,
            100 * distance_to_uniform(record.weights),
        )
        if self.on_round:
            self.on_round(record)

    def _too_few(
        self, server_round: int, valid: int, rejected: list[Rejection]
    ) -> TooFewRepliesError:
        if self.on_retry:
            self.on_retry(server_round, self.attempt + 1, rejected)
        said = "no valid reply" if not valid else f"{valid} valid reply(ies)"
        needed = f", fewer than the minimum of {self.min_replies}" if valid else ""
        reasons = "; ".join(f"client {r.client}: {r.reason}" for r in rejected[:3])
        tried = f" in attempt {self.attempt + 1}" if self.round_retries else ""
        return TooFewRepliesError(f"Round {server_round} has {said}{needed}{tried}. {reasons}")
