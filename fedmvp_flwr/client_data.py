"""What a client trains and evaluates on, and what the server may know of it.

This module needs torch alone: a deployed node imports it for every message.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from flwr.app import ConfigRecord
from torch import Tensor

from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.completion.quality import ACCEPT_ALL, gate
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.samples import MODALITIES
from fedmvp_flwr.evaluation import Conditions, only
from fedmvp_flwr.features import Batch

CLASS_NAMES = "class-names"
GATE_FALLBACK = "gate-fallback"  # in the config of messages, see `fallback_threshold`


@dataclass(frozen=True)
class ClientData:
    """A client's features, what is real and what was completed kept apart.

    Attributes:
        config: the run's settings.
        train_set: the samples to train on.
        held_out: its held-out samples.
        threshold: of the quality gate.
        summary: JSON values about the client that the server may know (counts, no content).
    """

    config: RunConfig
    train_set: PreparedSet
    held_out: PreparedSet
    threshold: float
    summary: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def train(self) -> Batch:
        """What the client trains on; empty if `incomplete='drop'` leaves nothing."""
        accepted = accept(self.train_set, self.threshold, self.config)
        return training_batch(self.train_set, accepted, self.config)

    @cached_property
    def test(self) -> Conditions:
        """The held-out samples under every condition of missingness."""
        return conditions(self.held_out, self.threshold, self.config)

    def gated(self, fallback: float) -> "ClientData":
        """The same with another threshold, if the client has no pair to calibrate its own by."""
        return self if self.summary["complete"] else replace(self, threshold=fallback)


def feature_widths(batch: Batch) -> dict[str, list[int]]:
    """By modality: width of the tokens and of the pooled embedding."""
    return {name: [m.tokens.shape[2], m.pooled.shape[1]] for name, m in batch.modalities.items()}


def class_names_record(names: Sequence[str]) -> ConfigRecord:
    """The classes of a run, as they travel to the nodes."""
    return ConfigRecord({CLASS_NAMES: list(names)})


def fallback_threshold(summaries: Sequence[Mapping[str, Any]]) -> float:
    """The gate's threshold for clients without a complete pair: the median of the others'.

    Args:
        summaries: of the clients that are ready.

    Returns:
        A cosine; -1, which accepts everything, if no client has a pair.
    """
    own = [float(s["gate-threshold"]) for s in summaries if s["complete"]]
    return statistics.median(own or [ACCEPT_ALL])


def accept(prepared: PreparedSet, threshold: float, config: RunConfig) -> dict[str, Tensor]:
    """By modality, (N,) bool: the completions that pass the quality gate, if there is one."""
    return {
        name: made.present & gate(prepared.similarity[name], threshold)
        if config.quality_gate
        else made.present
        for name, made in prepared.completed.items()
    }


def training_batch(
    prepared: PreparedSet, accepted: Mapping[str, Tensor], config: RunConfig
) -> Batch:
    """The samples that a client trains on; `incomplete` decides about the remaining holes."""
    batch = prepared.batch(accepted)
    if config.incomplete == "mask":
        return batch
    whole = torch.stack([m.present for m in batch.modalities.values()]).all(dim=0)
    return batch.select(whole.nonzero().flatten())


def conditions(test: PreparedSet, threshold: float, config: RunConfig) -> Conditions:
    """The test set under every condition, without and with completion.

    `complete` are the samples that have both modalities, `image-only` and `text-only` those that
    have that one, with the other hidden. Where the test set has holes, `given` are all samples as
    they are.
    """
    accepted = accept(test, threshold, config)
    there = {name: m.present for name, m in test.real.modalities.items()}
    whole = torch.stack(list(there.values())).all(dim=0)
    plain = {"complete": _some(test.real, whole)}
    completed = {}
    for name in MODALITIES:
        other = other_modality(name)
        plain[f"{name}-only"] = _some(only(test.real, name), there[name])
        if test.completed[other].present.any():
            everywhere = torch.ones(len(test), dtype=torch.bool)
            filled = test.batch(accepted, hidden={other: everywhere})
            completed[f"{name}-only"] = _some(filled, there[name])
    if not whole.all():
        plain["given"] = test.real
        if completed:
            completed["given"] = test.batch(accepted)
    return Conditions(plain, completed)


def _some(batch: Batch, flags: Tensor) -> Batch:
    return batch if flags.all() else batch.select(flags.nonzero().flatten())


def other_modality(modality: str) -> str:
    """The modality that the given one is completed from."""
    (other,) = set(MODALITIES) - {modality}
    return other
