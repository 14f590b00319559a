"""What a client trains and evaluates on, and what the server may know of it.

This module needs torch alone: a deployed node imports it for every message.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.completion.gating import accept, conditions, training_batch
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.config.completion import CompletionSettings
from fedmvp_flwr.model.evaluation import Conditions
from fedmvp_flwr.protocol.summary import Summary


@dataclass(frozen=True)
class ClientData:
    """A client's features, what is real and what was completed kept apart.

    Attributes:
        completion: the run's gate, and what becomes of remaining holes.
        train_set: the samples to train on.
        held_out: its held-out samples.
        threshold: of the quality gate.
        summary: numbers about the client that the server may know, no content.
    """

    completion: CompletionSettings
    train_set: PreparedSet
    held_out: PreparedSet
    threshold: float
    summary: Summary

    @cached_property
    def train(self) -> Batch:
        """What the client trains on; empty if `incomplete='drop'` leaves nothing."""
        accepted = accept(self.train_set, self.threshold, self.completion)
        return training_batch(self.train_set, accepted, self.completion)

    def test(self, unseen: Mapping[str, Tensor]) -> Conditions:
        """The held-out samples under every condition of missingness, see `conditions`."""
        return conditions(self.held_out, self.threshold, self.completion, unseen)

    def gated(self, fallback: float) -> "ClientData":
        """The same with another threshold, if the client has no pair to calibrate its own by."""
        return self if self.summary.complete else replace(self, threshold=fallback)
