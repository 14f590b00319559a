import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from fedmvp_flwr import (
    RunConfig,
    multimodal_contrastive_matching_loss,
    representation_aligned_margin_loss,
)
from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.model.training import AdamW, cosine_decay, fedmvp_loss, train


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def some_present():
    return {
        "image": torch.tensor([True, True, False, True, True, False]),
        "text": torch.tensor([True, False, True, True, False, True]),
    }


def train_by(config, network, batch, generator):
    """Train with a run's settings, at the rate of the first round."""
    rate = config.training.learning_rate
    return train(network, batch, config.method, config.training, rate, generator, {})


def test_the_loss_is_the_sum_of_its_parts(network, make_batch, some_present):
    batch = make_batch(6, present=some_present)
    config = RunConfig.of(alpha=0.2, beta=0.7, auxiliary_weight=0.4, temperature=0.3)
    output = network(batch)
    parts = fedmvp_loss(output, batch.labels, some_present, config.method)
    joint_ce = F.cross_entropy(output.logits, batch.labels, reduction="none")
    matching = margin = auxiliary = 0.0
    for name, mask in some_present.items():
        vectors = output.modality[name]
        ce = F.cross_entropy(output.modality_logits[name], batch.labels, reduction="none")
        matching += multimodal_contrastive_matching_loss(output.joint, vectors, 0.3, mask)
        margin += representation_aligned_margin_loss(output.joint, vectors, joint_ce, ce, mask)
        auxiliary += ce[mask].mean()
    torch.testing.assert_close(parts.supervised, joint_ce.mean())
    torch.testing.assert_close(parts.matching, matching)
    torch.testing.assert_close(parts.margin, margin)
    torch.testing.assert_close(parts.auxiliary, auxiliary)
    total = joint_ce.mean() + 0.2 * matching + 0.7 * margin + 0.4 * auxiliary
    torch.testing.assert_close(parts.total, total)


def test_fedavg_has_the_cross_entropy_alone(network, make_batch, some_present):
    batch = make_batch(6, present=some_present)
    output = network(batch, modalities=False)
    parts = fedmvp_loss(output, batch.labels, some_present, RunConfig.of(method="fedavg").method)
    assert torch.equal(parts.total, parts.supervised)
    assert not any((parts.matching, parts.margin, parts.auxiliary))


def test_an_absent_modality_adds_nothing(network, make_batch):
    nobody = torch.zeros(6, dtype=torch.bool)
    batch = make_batch(6, present={"text": nobody})
    everybody = torch.ones(6, dtype=torch.bool)
    config = RunConfig.of(auxiliary_weight=1.0)
    present = {"image": everybody, "text": nobody}
    parts = fedmvp_loss(network(batch), batch.labels, present, config.method)
    ce = F.cross_entropy(network(batch).modality_logits["image"], batch.labels)
    torch.testing.assert_close(parts.auxiliary, ce)
    parts.total.backward()


def test_the_rate_falls_from_its_peak_over_the_rounds():
    shares = [cosine_decay(r, 11) for r in range(1, 12)]
    assert shares[0] == 1
    assert shares[-1] == pytest.approx(0.05)
    assert shares[5] == pytest.approx((1 + 0.05) / 2)
    assert shares == sorted(shares, reverse=True)
    assert cosine_decay(1, 1) == 1
    assert cosine_decay(99, 11) == pytest.approx(0.05)


def separable(make_batch, count=48):
    """Classes that the image alone tells in one half of the samples, the text in the other."""
    half = torch.arange(count) % 2 == 0
    batch = make_batch(count, present={"image": half, "text": ~half})
    signal = F.one_hot(batch.labels, 3).float() * 4
    modalities = {}
    for name, values in batch.modalities.items():
        tokens, pooled = values.tokens.clone(), values.pooled.clone()
        tokens[:, :, :3] += signal[:, None] * values.mask[:, :, None]
        pooled[:, :3] += signal * values.present[:, None]
        modalities[name] = replace(values, tokens=tokens, pooled=pooled)
    return Batch(modalities, batch.labels)


@pytest.mark.parametrize("method", ["fedmvp", "fedavg"])
def test_a_separable_task_is_learnt(network, make_batch, method):
    batch = separable(make_batch)
    config = RunConfig.of(method=method, local_epochs=12, batch_size=12, learning_rate=5e-3)
    losses = train_by(config, network, batch, rng())
    accuracy = float((network.predict(batch).argmax(dim=1) == batch.labels).float().mean())
    assert accuracy > 0.9
    assert losses["supervised"] < 0.6
    assert set(losses) == {"total", "supervised", "matching", "margin", "auxiliary"}
    assert not network.training


def test_the_same_generator_gives_the_same_model(network, make_batch):
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    config = RunConfig.of(local_epochs=1, batch_size=5)
    ends = []
    for seed in (1, 1, 2):
        network.load_state_dict(start)
        losses = train_by(config, network, make_batch(12), rng(seed))
        ends.append((losses, {n: t.clone() for n, t in network.state_dict().items()}))
    assert ends[0][0] == ends[1][0]
    assert all(torch.equal(ends[0][1][n], ends[1][1][n]) for n in start)
    assert any(not torch.equal(ends[0][1][n], ends[2][1][n]) for n in start)
    assert any(not torch.equal(ends[0][1][n], start[n]) for n in start)


def test_losses_are_means_over_the_samples(network, make_batch):
    batch = make_batch(7)
    config = RunConfig.of(
        method="fedavg", local_epochs=1, batch_size=3, learning_rate=1e-12, weight_decay=0,
        modality_dropout=0,
    )  # fmt: skip
    expected = F.cross_entropy(network(batch).logits, batch.labels)
    losses = train_by(config, network, batch, rng())
    assert losses["total"] == pytest.approx(float(expected.detach()), rel=1e-4)


def test_short_features_are_trained_on_in_float32(network, make_batch):
    batch = make_batch(4)
    short = Batch(
        {
            name: m.map(lambda t: t.half() if t.is_floating_point() else t)
            for name, m in batch.modalities.items()
        },
        batch.labels,
    )
    train_by(RunConfig.of(local_epochs=1), network, short, rng())
    assert all(torch.isfinite(p).all() for p in network.parameters())


def test_nothing_to_train_on_is_refused(network, make_batch):
    empty = make_batch(2).select(torch.tensor([], dtype=torch.long))
    with pytest.raises(DataError, match="no sample to train on"):
        train_by(RunConfig.of(), network, empty, rng())


PROGRAM = """
import sys, torch
from fedmvp_flwr.model.training import AdamW
layer = torch.nn.Linear(2, 2)
optimizer = AdamW(layer.parameters(), 0.1, 0.0)
layer(torch.ones(1, 2)).sum().backward()
optimizer.step()
sys.exit("torch._dynamo" in sys.modules)
"""


def network():
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 2))


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_it_clips_and_updates_as_torch_does(weight_decay):
    ours, theirs = network(), network()
    own = AdamW(ours.parameters(), 0.01, weight_decay)
    torchs = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=weight_decay)
    inputs = 3 * torch.randn(20, 6, 4, generator=torch.Generator().manual_seed(1))
    norms = []
    for batch in inputs:
        for model, optimizer in ((ours, own), (theirs, torchs)):
            optimizer.zero_grad()
            model(batch).square().mean().backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)))
        own.step()
        torchs.step()
    assert min(norms) < 1 < max(norms)  # some steps are clipped
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_without_a_gradient_there_is_a_gradient_of_0():
    ours, theirs = network(), network()
    own = AdamW(ours.parameters(), 0.01, 0.1)
    torchs = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1)
    for model, optimizer in ((ours, own), (theirs, torchs)):
        model(torch.ones(2, 4)).mean().backward()
        model[0].bias.grad = None if model is ours else torch.zeros_like(model[0].bias)
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_it_does_not_import_the_compiler():
    assert subprocess.run([sys.executable, "-c", PROGRAM], check=False).returncode == 0
