"""What a client trains and evaluates on, and what the server may know of it.

This module needs torch alone: a deployed node imports it for every message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from flwr.app import ConfigRecord
from torch import Tensor

from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.completion.quality import gate
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.samples import MODALITIES
from fedmvp_flwr.evaluation import Conditions, only
from fedmvp_flwr.features import Batch

CLASS_NAMES = "class-names"


@dataclass(frozen=True)
class ClientData:
    """A client's features, ready to train on.

    Attributes:
        train: features of the samples to train on.
        held_out: its held-out samples, what is real and what was completed apart.
        threshold: of the quality gate.
        summary: JSON values about the client that the server may know (counts, no content).
    """

    train: Batch
    held_out: PreparedSet
    threshold: float
    summary: dict[str, Any] = field(default_factory=dict)

    def test(self, config: RunConfig) -> Conditions:
        """The held-out samples under every condition of missingness."""
        return conditions(self.held_out, self.threshold, config)


def feature_widths(batch: Batch) -> dict[str, list[int]]:
    """By modality: width of the tokens and of the pooled embedding."""
    return {name: [m.tokens.shape[2], m.pooled.shape[1]] for name, m in batch.modalities.items()}


def class_names_record(names: Sequence[str]) -> ConfigRecord:
    """The classes of a run, as they travel to the nodes."""
    return ConfigRecord({CLASS_NAMES: list(names)})


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
    """The test set complete and with each modality alone, without and with completion.

    A sample counts where the modalities that a condition shows are really there; a condition for
    which no sample does is left out, so a test set of other people's holes may have fewer.
    """
    accepted = accept(test, threshold, config)
    there = {name: m.present for name, m in test.real.modalities.items()}
    pairs = torch.stack([there[name] for name in MODALITIES]).all(dim=0)
    plain = {"complete": (test.real, pairs)}
    completed = {}
    for name in MODALITIES:
        (other,) = set(MODALITIES) - {name}
        plain[f"{name}-only"] = (only(test.real, name), there[name])
        if test.completed[other].present.any():
            shown = test.batch(accepted, hidden={other: torch.ones_like(pairs)})
            completed[f"{name}-only"] = (shown, there[name])
    return Conditions(_chosen(plain), _chosen(completed))


def _chosen(sets: Mapping[str, tuple[Batch, Tensor]]) -> dict[str, Batch]:
    """The samples that count, under each condition that has any."""
    return {
        name: batch if bool(counts.all()) else batch.select(counts.nonzero().flatten())
        for name, (batch, counts) in sets.items()
        if bool(counts.any()) or not len(batch)
    }
