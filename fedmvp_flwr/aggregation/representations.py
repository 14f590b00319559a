"""How every client's model represents the probe, and how alike that makes the clients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from flwr.app import ArrayRecord
from torch import Tensor

from fedmvp_flwr.aggregation.cka import cka_matrix, graph_importance
from fedmvp_flwr.aggregation.replies import Rejection, Reply

_LONGEST = 500  # characters of a reason

Represent = Callable[[ArrayRecord, Any], Tensor]
"""From a client's arrays and the probe to (m, d) representations of its m samples."""


@dataclass(frozen=True)
class ClientGraph:
    """How alike the clients of a round are.

    Attributes:
        representations: (K, m, d) of the probe by the K clients; None: nothing is compared.
    """

    representations: Tensor | None = None

    @cached_property
    def similarity(self) -> Tensor | None:
        """(K, K) CKA of every pair of clients."""
        return None if self.representations is None else cka_matrix(self.representations)

    def importance(self, temperature: float) -> list[float] | None:
        """Each client's share of the graph (see `graph_importance`)."""
        if self.representations is None:
            return None
        return graph_importance(self.representations, temperature).tolist()

    def of(self, positions: Sequence[int]) -> "ClientGraph":
        """The graph of some of the clients, ascending, alone."""
        if self.representations is None or len(positions) == len(self.representations):
            return self
        return ClientGraph(self.representations[list(positions)])


def represent_all(
    replies: Sequence[Reply],
    represent: Represent,
    probe: Any,  # noqa: ANN401 - whatever `represent` takes
) -> tuple[ClientGraph, list[Reply], list[Rejection]]:
    """Represent the probe by each client's arrays.

    Returns:
        The graph, with representations on the CPU; the replies that it is of; and the rejections of
        those whose representation is not finite, or for whose arrays `represent` raises an error.

    Raises:
        RuntimeError: `represent` gives another shape than for the client before.
    """
    kept: list[Reply] = []
    reps: list[Tensor] = []
    rejected: list[Rejection] = []
    for reply in replies:
        try:
            rep = torch.as_tensor(represent(reply.record, probe))
        except Exception as error:  # of a function from anywhere, over the arrays of anyone
            reason = f"represent raised {type(error).__name__}: {error}"[:_LONGEST]
            rejected.append(Rejection(reply.client, reason))
            continue
        if torch.isfinite(rep).all():
            kept.append(reply)
            reps.append(rep.detach().cpu())
        else:
            rejected.append(Rejection(reply.client, "its representation is not finite"))
    return ClientGraph(torch.stack(reps) if reps else None), kept, rejected
