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
        The parts; for `fedavg` all but the cross-entropy are 0 and not computed.
    """
    joint_ce = F.cross_entropy(output.logits, labels, reduction="none")
    supervised = joint_ce.mean()
    zero = supervised.new_zeros(())
    matching, margin, auxiliary = zero, zero, zero
    if method.name == "fedmvp":
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


def drop_modalities(batch: Batch, method: MethodSettings, generator: torch.Generator) -> Batch:
    """Hide modalities at random, so that the model learns to do without any of them.

    A generated modality is hidden with `generated-dropout`: completion may help, but the model
    must not lean on it. Of a real pair, one modality, either one, is hidden with
    `modality-dropout`. Something always stays.
    """
    names = list(batch.modalities)
    shape = (len(names), len(batch))
    device = batch.labels.device
    draw = torch.rand(shape, generator=generator).to(device)
    present = torch.stack([batch.modalities[name].present for name in names])
    generated = torch.stack([batch.modalities[name].generated for name in names])
    pair = present.all(dim=0) & ~generated.any(dim=0)
    share = method.modality_dropout / len(names)  # one draw decides whether, and which one
    slot = torch.arange(len(names), device=device)[:, None] * share
    one_of_pair = (slot <= draw[0]) & (draw[0] < slot + share)
    hidden = torch.where(pair, one_of_pair, generated & (draw < method.generated_dropout))
    hidden &= (present & ~hidden).any(dim=0)
    return batch.hide(dict(zip(names, hidden, strict=True)))


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
) -> dict[str, float]:
    """Train the network in place for the local epochs of one round.

    Args:
        network: on the device to train on.
        batch: all training samples of the client, each with at least one modality present.
        method: which losses, and how often a modality is hidden.
        training: epochs, batch size and weight decay.
        learning_rate: of this round, see `cosine_decay`.
        generator: CPU generator of the order and of the modality dropout. Dropout inside the
            network draws from torch's global generator, which the caller forks and seeds.

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
            shown = drop_modalities(chosen, method, generator)
            present = {name: m.present for name, m in chosen.modalities.items()}
            parts = fedmvp_loss(network(shown), chosen.labels, present, method)
            optimizer.zero_grad()
            parts.total.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), _GRADIENT_NORM)
            optimizer.step()
            for name in sums:
                sums[name] += float(getattr(parts, name).detach()) * len(index)
    network.eval()
    return {name: value / len(batch) for name, value in sums.items()}


_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # torch's defaults


class AdamW:
    """Updates parameters in place, to the bit as `torch.optim.AdamW` does.

    Args:
        parameters: those that are trained; one without a gradient is left alone in a step.
        lr: learning rate.
        weight_decay: decoupled weight decay.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float) -> None:
        self._parameters = list(parameters)
        self._lr, self._weight_decay = lr, weight_decay
        self._state: dict[nn.Parameter, tuple[Tensor, Tensor, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        ours = [parameter for parameter in self._parameters if parameter.grad is not None]
        for parameter in ours:
            if parameter not in self._state:
                zeros = (torch.zeros_like(parameter), torch.zeros_like(parameter))
                self._state[parameter] = (*zeros, torch.tensor(0.0))
        states = [self._state[parameter] for parameter in ours]
        adamw(
            [*ours],
            [parameter.grad for parameter in ours if parameter.grad is not None],
            [average for average, _, _ in states],
            [square for _, square, _ in states],
            [],
            [steps for _, _, steps in states],
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=self._lr,
            weight_decay=self._weight_decay,
            eps=_EPSILON,
            maximize=False,
        )
