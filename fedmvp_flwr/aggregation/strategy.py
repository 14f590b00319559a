"""FedMVP as a Flower strategy: clients weigh as much as the CKA graph says (paper, section 3.3).

The strategy knows nothing of images, texts or our model. It takes a probe and a function that
represents the probe with a client's arrays; both can come from any project.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from logging import INFO, WARNING
from pathlib import Path
from typing import Any

import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.common.logger import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, Result
from torch import Tensor

from fedmvp_flwr.aggregation.checkpoint import CheckpointStore
from fedmvp_flwr.aggregation.cka import cka_matrix, graph_importance
from fedmvp_flwr.aggregation.nodes import NodeRegistry
from fedmvp_flwr.aggregation.replies import Rejection, Reply, check_evaluations, check_replies
from fedmvp_flwr.aggregation.weights import client_weights, distance_to_uniform
from fedmvp_flwr.aggregation.wire import as_received
from fedmvp_flwr.config import Weighting
from fedmvp_flwr.errors import RoundError
from fedmvp_flwr.seeds import numpy_generator

Represent = Callable[[ArrayRecord, Any], Tensor]
Refine = Callable[[int, ArrayRecord, Any], ArrayRecord]
_NODE_TIMEOUT = 600.0  # seconds to wait for enough connected nodes


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
        seconds: wall time of `train` (sending to last reply) and `aggregate`, `refine` included.
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
        seed: fixes which clients are chosen in which round.
        evaluate_every: ask the clients to evaluate each so many rounds, and after the last.
        checkpoint_dir: folder of a checkpoint per round; None saves nothing.
        checkpoint_metadata: JSON values to store in each checkpoint.
        on_round: called with the record of each finished round.
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
        seed: int = 0,
        evaluate_every: int = 1,
        checkpoint_dir: Path | None = None,
        checkpoint_metadata: dict[str, Any] | None = None,
        on_round: Callable[[RoundRecord], None] | None = None,
        idle: frozenset[int] = frozenset(),
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
        self.seed = seed
        self.evaluate_every = evaluate_every
        self.checkpoint_metadata = checkpoint_metadata or {}
        self.on_round = on_round
        self.idle = idle
        self.node_timeout = node_timeout
        self.nodes = NodeRegistry()
        self._checkpoints = CheckpointStore(checkpoint_dir) if checkpoint_dir else None
        self._last_round = 0
        self._sent_arrays = ArrayRecord()
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
        *args: Any,  # noqa: ANN401 - Flower's own
        **kwargs: Any,  # noqa: ANN401 - Flower's own
    ) -> Result:
        """Run `num_rounds` rounds; see `flwr.serverapp.strategy.Strategy.start`."""
        self._last_round = num_rounds
        return super().start(grid, initial_arrays, num_rounds, *args, **kwargs)

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
            RoundError: no reply was valid.
        """
        if self.fraction_train == 0.0:
            return None, None
        received = time.monotonic()
        known = self._with_keys(list(replies), self._sent)
        valid, rejected = check_replies(known, self._sent_arrays, self.weighted_by_key)
        reps, valid, unrepresentable = self._representations(valid)
        rejected = self._missing(known, self._sent) + rejected + unrepresentable
        self._log_rejected(server_round, rejected)
        if not valid:
            reasons = "; ".join(f"client {r.client}: {r.reason}" for r in rejected[:3])
            raise RoundError(f"Round {server_round} has no valid reply. {reasons}")

        importance = (
            graph_importance(reps, self.graph_temperature).tolist() if reps is not None else None
        )
        examples = [reply.num_examples for reply in valid]
        weights = client_weights(self.weighting, examples, importance)
        arrays = weighted_average(valid, weights, self._sent_arrays)
        if self.refine is not None:
            arrays = self.refine(server_round, arrays, self.probe)
        metrics = self.train_metrics_aggr_fn(
            [reply.message.content for reply in valid], self.weighted_by_key
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
                    for name, value in metrics.items()
                    if isinstance(value, int | float)
                },
                rejected,
                max(reply.record.count_bytes() for reply in valid),
                self._sent_arrays.count_bytes(),
                {"train": received - self._sent_at, "aggregate": time.monotonic() - received},
            ),
            arrays,
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
        known = self._with_keys(list(replies), self._sent_evaluate)
        valid, rejected = check_evaluations(known, self.weighted_by_key)
        self._log_rejected(server_round, self._missing(known, self._sent_evaluate) + rejected)
        if not valid:
            return None
        contents = [message.content for message in valid]
        return self.evaluate_metrics_aggr_fn(contents, self.weighted_by_key)

    def _choose(
        self, grid: Grid, fraction: float, minimum: int, purpose: str, server_round: int
    ) -> list[int]:
        nodes = self.nodes.connected(
            grid, max(self.min_available_nodes, minimum), self.node_timeout
        )
        if purpose == "train":
            nodes = [node for node in nodes if self.nodes.key(node) not in self.idle]
        size = min(max(int(len(nodes) * fraction), minimum), len(nodes))
        generator = numpy_generator(self.seed, "sampling", purpose, server_round)
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
        record = RecordDict({self.arrayrecord_key: arrays, self.configrecord_key: config})
        return [Message(record, node_id, message_type) for node_id in node_ids]

    def _with_keys(
        self, replies: list[Message], instructions: list[Message]
    ) -> list[tuple[int, Message]]:
        # Flower attributes the error of a dead node to another node: go by what it replies to.
        sent = {m.metadata.message_id: m.metadata.dst_node_id for m in instructions}
        return [
            (
                self.nodes.key(sent.get(r.metadata.reply_to_message_id, r.metadata.src_node_id)),
                r,
            )
            for r in replies
        ]

    def _missing(
        self, known: list[tuple[int, Message]], instructions: list[Message]
    ) -> list[Rejection]:
        answered = {client for client, _ in known}
        expected = sorted(self.nodes.key(message.metadata.dst_node_id) for message in instructions)
        return [Rejection(c, "no reply within the timeout") for c in expected if c not in answered]

    def _representations(
        self, valid: list[Reply]
    ) -> tuple[Tensor | None, list[Reply], list[Rejection]]:
        if not self.uses_graph or self.represent is None:
            return None, valid, []
        kept: list[Reply] = []
        reps: list[Tensor] = []
        rejected: list[Rejection] = []
        for reply in valid:
            rep = torch.as_tensor(self.represent(reply.record, self.probe))
            if rep.ndim != 2 or (reps and rep.shape != reps[0].shape):
                raise ValueError(
                    f"represent gave shape {tuple(rep.shape)} for client {reply.client}, expected "
                    f"{tuple(reps[0].shape) if reps else '(m, d)'} as for every client."
                )
            if torch.isfinite(rep).all():
                kept.append(reply)
                reps.append(rep.detach().cpu())
            else:
                rejected.append(Rejection(reply.client, "its representation is not finite"))
        return torch.stack(reps) if reps else None, kept, rejected

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

    def _finish(self, record: RoundRecord, arrays: ArrayRecord) -> None:
        spread = ", ".join(
            f"{c}: {w:.3f}" for c, w in zip(record.clients, record.weights, strict=True)
        )
        log(
            INFO,
            "Weights: %s (%.1f%% from uniform).",
            spread,
            100 * distance_to_uniform(record.weights),
        )
        if self._checkpoints:
            self._checkpoints.save(record.server_round, arrays, self.checkpoint_metadata)
        if self.on_round:
            self.on_round(record)


def weighted_average(
    replies: Sequence[Reply], weights: Sequence[float], reference: ArrayRecord
) -> ArrayRecord:
    """Average the arrays of clients in float64, in the order given.

    Args:
        replies: valid replies (same names and shapes).
        weights: one per reply, summing to 1.
        reference: the global arrays, whose names, order and types the average takes.

    Returns:
        The average; integer arrays are rounded.
    """
    averaged = {}
    for name, array in reference.items():
        total = sum(
            weight * reply.tensors[name].double()
            for reply, weight in zip(replies, weights, strict=True)
        )
        averaged[name] = as_received(array, torch.as_tensor(total))
    return ArrayRecord(averaged)
