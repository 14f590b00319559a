"""Local training: one loop for every method and data set, on frozen features only."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.adamw import adamw

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.config.method import MethodSettings
from fedmvp_flwr.config.training import TrainingSettings
from fedmvp_flwr.model.losses import (
    multimodal_contrastive_matching_loss,
    representation_aligned_margin_loss,
)
from fedmvp_flwr.model.network import FedMVPNetwork, Output
from fedmvp_flwr.model.views import show_views

_FINAL_RATE = 0.05  # of the peak, where the cosine over the rounds ends
_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class LossParts:
    """The loss of a batch and its unweighted parts, scalars.

    Attributes:
        total: what is minimised.
        supervised: cross-entropy of the joint vectors.
        matching: MCM, summed over modalities.
        margin: RAM, summed over modalities.
        auxiliary: cross-entropy of the single-modality vectors, summed over modalities.
    """

    total: Tensor
    supervised: Tensor
    matching: Tensor
    margin: Tensor
    auxiliary: Tensor


def fedmvp_loss(
    output: Output, labels: Tensor, present: Mapping[str, Tensor], method: MethodSettings
) -> LossParts:
    """The training loss (paper, section 3.2, equation of the total loss).

    Args:
        output: the network's output for B samples.
        labels: (B,) class indices.
        present: by modality, (B,) bool: the samples whose modality vector means something.
        method: its name and the weights of the parts.

    Returns:
        The parts; without single-modality vectors all but the cross-entropy are 0.
    """
    joint_ce = F.cross_entropy(output.logits, labels, reduction="none")
    supervised = joint_ce.mean()
    zero = supervised.new_zeros(())
    matching, margin, auxiliary = zero, zero, zero
    if output.modality:
        for name, vectors in output.modality.items():
            mask = present[name]
            ce = F.cross_entropy(output.modality_logits[name], labels, reduction="none")
            matching = matching + multimodal_contrastive_matching_loss(
                output.joint, vectors, method.temperature, mask
            )
            margin = margin + representation_aligned_margin_loss(
                output.joint, vectors, joint_ce, ce, mask
            )
            auxiliary = auxiliary + (ce * mask).sum() / mask.sum().clamp_min(1)
    total = (
        supervised
        + method.alpha * matching
        + method.beta * margin
        + method.auxiliary_weight * auxiliary
    )
    return LossParts(total, supervised, matching, margin, auxiliary)


def cosine_decay(server_round: int, last_round: int) -> float:
    """Share of the learning rate: from 1 in round 1 to a small rest in the last round."""
    progress = (server_round - 1) / max(last_round - 1, 1)
    cosine = (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0))) / 2
    return _FINAL_RATE + (1 - _FINAL_RATE) * cosine


def train(
    network: FedMVPNetwork,
    batch: Batch,
    method: MethodSettings,
    training: TrainingSettings,
    learning_rate: float,
    generator: torch.Generator,
    real_shares: Mapping[str, Tensor],
) -> dict[str, float]:
    """Train the network in place for the local epochs of one round.

    Args:
        network: on the device to train on.
        batch: all training samples of the client, each with at least one modality present.
        method: which losses, and how often a modality is hidden.
        training: epochs, batch size and weight decay.
        learning_rate: of this round, see `cosine_decay`.
        generator: CPU generator of the order and of the views. Dropout inside the
            network draws from torch's global generator, which the caller forks and seeds.
        real_shares: by modality (C,), how much of each class really has it, see `show_views`.

    Returns:
        Mean of each part of the loss over the samples of the last epoch.

    Raises:
        DataError: no sample to train on.
    """
    if not len(batch):
        raise DataError(
            "The client has no sample to train on. With incomplete='drop' it needs at least one "
            "complete pair; otherwise check its data."
        )
    device = next(network.parameters()).device
    optimizer = AdamW(network.parameters(), learning_rate, training.weight_decay)
    network.train()
    sums: dict[str, float] = {}
    for _ in range(training.local_epochs):
        sums = dict.fromkeys((field.name for field in fields(LossParts)), 0.0)
        order = torch.randperm(len(batch), generator=generator)
        for index in order.split(training.batch_size):
            chosen = batch.select(index).trim().to(device)
            shown = show_views(chosen, method, real_shares, generator)
            present = {name: m.present for name, m in chosen.modalities.items()}
            output = network(shown, modalities=method.name == "fedmvp")
            parts = fedmvp_loss(output, chosen.labels, present, method)
            optimizer.zero_grad()
            parts.total.backward()
            optimizer.step()
            for name in sums:
                sums[name] += float(getattr(parts, name).detach()) * len(index)
    network.eval()
    return {name: value / len(batch) for name, value in sums.items()}


_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # torch's defaults


class AdamW:
    """Clips the gradients together, then updates parameters in place as `torch.optim.AdamW` does.

    The fused kernel alone, without the optimizer's class, whose import takes seconds.

    Args:
        parameters: those that are trained; one without a gradient has a gradient of 0.
        lr: learning rate.
        weight_decay: decoupled weight decay.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float) -> None:
        self._parameters = list(parameters)
        self._lr, self._weight_decay = lr, weight_decay
        self._averages = [torch.zeros_like(p) for p in self._parameters]
        self._squares = [torch.zeros_like(p) for p in self._parameters]
        self._steps = [torch.zeros((), device=p.device) for p in self._parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        norm = torch.linalg.vector_norm(torch.cat([g.flatten() for g in gradients]))
        adamw(
            [*self._parameters],
            gradients,
            self._averages,
            self._squares,
            [],
            self._steps,
            grad_scale=(norm / _GRADIENT_NORM).clamp_min(1.0),  # the kernel divides by it
            found_inf=norm.new_zeros(()),
            fused=True,
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=self._lr,
            weight_decay=self._weight_decay,
            eps=_EPSILON,
            maximize=False,
        )
