"""What the clients of a run are asked, and which of their answers count.

An answer is attributed by the question, not by its sender; it is checked by the project first, then
against the global arrays and the other answers. Who is left out is named in the log.
"""

import time
from collections.abc import Iterable, Sequence
from logging import INFO, WARNING

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.common.logger import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg
from torch import Tensor

from fedmvp_flwr.aggregation.compression import wrap
from fedmvp_flwr.aggregation.nodes import NodeRegistry
from fedmvp_flwr.aggregation.observer import RoundObserver, RoundRecord
from fedmvp_flwr.aggregation.options import RoundOptions, is_evaluated
from fedmvp_flwr.aggregation.question import Question
from fedmvp_flwr.aggregation.replies import Rejection, Reply, check_evaluations, check_replies
from fedmvp_flwr.aggregation.reply_metrics import average_metrics
from fedmvp_flwr.aggregation.weights import distance_to_uniform
from fedmvp_flwr.base.errors import TooFewRepliesError
from fedmvp_flwr.base.seeds import numpy_generator


class Exchange:
    """Asks clients for a strategy and checks what they answer, whatever is made of it.

    Args:
        strategy: its shares and minimums of clients, names of records and averages of metrics are
            those of Flower's FedAvg.
        seed: as all others, see `FedMVP`.
        options: of the rounds.
        observer: of the rounds.
        nodes: of the run.
    """

    def __init__(
        self,
        strategy: FedAvg,
        seed: int,
        options: RoundOptions | None = None,
        observer: RoundObserver | None = None,
        nodes: NodeRegistry | None = None,
    ) -> None:
        self.seed = seed
        self.options = options or RoundOptions()
        self.observer = observer or RoundObserver()
        self.nodes = nodes or NodeRegistry()
        self._strategy = strategy
        self._last_round = 0
        self._training = Question()
        self._evaluation = Question()
        self._trained_at = 0.0

    @property
    def global_arrays(self) -> ArrayRecord:
        """The arrays that the clients were asked to train."""
        return self._training.arrays

    def begin(self, last_round: int) -> None:
        """Forget what was asked: a run begins, of which the last round is always evaluated."""
        self._last_round = last_round
        self._training = Question()

    def ask_to_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> tuple[Message, ...]:
        """Choose the clients of a round, reproducibly, and address the global arrays to them.

        Asked again in the same round, it chooses anew.
        """
        before, strategy = self._training, self._strategy
        if strategy.fraction_train == 0.0:
            return ()
        attempt = before.attempt + 1 if before.server_round == server_round else 0
        nodes = self._connected(grid, strategy.min_train_nodes)
        nodes = [node for node in nodes if self.observer.may_train(self.nodes.key(node))]
        again = ("attempt", attempt) if attempt else ()
        share, minimum = strategy.fraction_train, strategy.min_train_nodes
        chosen = sample(nodes, share, minimum, self.seed, MessageType.TRAIN, server_round, *again)
        sent = self._packed(arrays)
        messages = self._messages(MessageType.TRAIN, server_round, sent, config, chosen)
        size, now = sent.count_bytes(), time.monotonic()
        self._training = Question(server_round, attempt, arrays, messages, size, now)
        return messages

    def trained(self, replies: Iterable[Message]) -> tuple[list[Reply], list[Rejection]]:
        """The valid replies to a training, ordered by client, and why the others are not."""
        self._trained_at = time.monotonic()
        known, silent = self._training.answers(replies, self.nodes.key)
        key, check = self._strategy.weighted_by_key, self.observer.check_training
        valid, rejected = check_replies(known, self.global_arrays, key, check)
        return valid, silent + rejected

    def require_enough(self, valid: Sequence[Reply], rejected: list[Rejection]) -> None:
        """Name the rejected replies to a training, and end the attempt if too few are left.

        Raises:
            TooFewRepliesError: fewer than `min_replies` are valid.
        """
        asked, options = self._training, self.options
        _log_rejected(asked.server_round, rejected)
        if len(valid) >= options.min_replies:
            return
        self.observer.attempt_failed(asked.server_round, asked.attempt + 1, rejected)
        said = f"{len(valid)} valid reply(ies)" if valid else "no valid reply"
        needed = f", fewer than the minimum of {options.min_replies}" if valid else ""
        reasons = "; ".join(f"client {r.client}: {r.reason}" for r in rejected[:3])
        tried = f" in attempt {asked.attempt + 1}" if options.round_retries else ""
        raise TooFewRepliesError(f"Round {asked.server_round} has {said}{needed}{tried}. {reasons}")

    def conclude(
        self,
        replies: Sequence[Reply],
        weights: list[float],
        importance: list[float] | None,
        similarity: Tensor | None,
        rejected: list[Rejection],
    ) -> MetricRecord | None:
        """Average the metrics of a training and tell of the round."""
        asked, strategy = self._training, self._strategy
        contents, average = [r.message.content for r in replies], strategy.train_metrics_aggr_fn
        metrics = average_metrics(asked.server_round, average, contents, strategy.weighted_by_key)
        clients = [reply.client for reply in replies]
        spread = ", ".join(f"{c}: {w:.3f}" for c, w in zip(clients, weights, strict=True))
        log(INFO, "Weights: %s (%.1f%% from uniform).", spread, 100 * distance_to_uniform(weights))
        numbers = {k: float(v) for k, v in (metrics or {}).items() if isinstance(v, int | float)}
        began, now = self._trained_at, time.monotonic()
        self.observer.trained(
            RoundRecord(
                asked.server_round,
                clients,
                weights,
                importance,
                None if similarity is None else similarity.tolist(),
                numbers,
                rejected,
                max(reply.bytes for reply in replies),
                asked.bytes,
                {"train": began - asked.sent_at, "aggregate": now - began},
            )
        )
        return metrics

    def ask_to_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> tuple[Message, ...]:
        """The same for an evaluation; in the rounds that have none nobody is asked."""
        strategy = self._strategy
        self._evaluation = Question()
        due = is_evaluated(server_round, self.options.evaluate_every, self._last_round)
        if strategy.fraction_evaluate == 0.0 or not due:
            return ()
        share, minimum = strategy.fraction_evaluate, strategy.min_evaluate_nodes
        nodes = self._connected(grid, minimum)
        chosen = sample(nodes, share, minimum, self.seed, MessageType.EVALUATE, server_round)
        sent = self._packed(arrays)
        messages = self._messages(MessageType.EVALUATE, server_round, sent, config, chosen)
        self._evaluation = Question(server_round, messages=messages)
        return messages

    def evaluated(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Average the scores of the valid replies, in the order of the clients; None if none."""
        known, silent = self._evaluation.answers(replies, self.nodes.key)
        key, check = self._strategy.weighted_by_key, self.observer.check_evaluation
        valid, rejected = check_evaluations(known, key, check)
        rejected = silent + rejected
        _log_rejected(server_round, rejected)
        scores = None
        if valid:
            contents, average = [m.content for m in valid], self._strategy.evaluate_metrics_aggr_fn
            scores = average_metrics(server_round, average, contents, key)
        if scores is not None or rejected:
            self.observer.evaluated(server_round, scores, rejected)
        return scores

    def _connected(self, grid: Grid, minimum: int) -> list[int]:
        minimum = max(self._strategy.min_available_nodes, minimum)
        return self.nodes.connected(grid, minimum, self.options.node_timeout, self.observer.admit)

    def _packed(self, arrays: ArrayRecord) -> ArrayRecord:
        return wrap(arrays) if self.options.compress else arrays

    def _messages(
        self,
        kind: str,
        server_round: int,
        arrays: ArrayRecord,
        config: ConfigRecord,
        node_ids: Sequence[int],
    ) -> tuple[Message, ...]:
        config["server-round"] = server_round
        strategy = self._strategy
        content = RecordDict({strategy.arrayrecord_key: arrays, strategy.configrecord_key: config})
        return tuple(Message(content, node_id, kind) for node_id in node_ids)


def _log_rejected(server_round: int, rejected: Sequence[Rejection]) -> None:
    for item in rejected:
        said = "Round %d: reply of client %d rejected: %s."
        log(WARNING, said, server_round, item.client, item.reason)


def sample(
    nodes: Sequence[int], fraction: float, minimum: int, seed: int, purpose: str, *parts: str | int
) -> list[int]:
    """Choose some of the nodes, in their order.

    Args:
        nodes: node ids, ordered by the keys of their clients.
        fraction: share to choose.
        minimum: choose so many at least, if there are so many.
        seed: of the run.
        purpose: what they are chosen for; it is in the log.
        parts: round and whatever else tells one choice from another.
    """
    size = min(max(int(len(nodes) * fraction), minimum), len(nodes))
    generator = numpy_generator(seed, "sampling", purpose, *parts)
    chosen = sorted(generator.choice(len(nodes), size=size, replace=False).tolist())
    log(INFO, "%s: chose %d of %d clients.", purpose, size, len(nodes))
    return [nodes[index] for index in chosen]
