import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.pretraining.checkpoints import stored_progress, use_average
from fedmvp_flwr.pretraining.job import Budget, Rates, Trainer
from fedmvp_flwr.pretraining.loop import train


class Sum(Trainer):
    """Learns to add three numbers; does at its n-th draw what a test wants."""

    name = "sum"
    rates = Rates(batch=4, learning_rate=0.1, matrix_rate=0.02, ema_decay=0.5)

    def __init__(self, seed=0, at=None, error=None):
        super().__init__()
        torch.manual_seed(seed)
        self.line = nn.Linear(3, 1)
        self.drawn, self.at, self.error = [], at, error

    def loss(self, draw):
        x = torch.randn(8, 3, generator=draw.noise)
        if len(self.drawn) == self.at:
            if self.error:
                raise self.error
            return self.line(x).sum() * math.nan
        self.drawn.append(x[0].tolist())
        return (self.line(x) - x.sum(dim=1, keepdim=True)).square().mean()


def test_training_resumes_where_it_stopped(job_of):
    drawn = []
    for steps in (5, 40):
        job, trainer = job_of(steps=steps), Sum()
        trained = train(job, trainer)
        assert trained.steps == steps
        assert stored_progress(job.checkpoint("sum")) == trained
        drawn += trainer.drawn
    expected = [torch.randn(8, 3, generator=job.draw("sum", s, 4).noise)[0] for s in range(40)]
    assert drawn == [row.tolist() for row in expected]
    final = trainer.line.weight
    assert torch.equal(use_average(Sum(1), job.checkpoint("sum")).line.weight, final)
    assert (final - 1).abs().max() < 0.2


def test_an_interrupted_training_ends_as_an_uninterrupted_one(job_of, tmp_path):
    # The rate follows the budget, so both stop at the same one.
    whole, parts = Sum(), Sum(1)
    train(job_of(steps=12, work=tmp_path / "whole"), whole)
    job = job_of(steps=12, work=tmp_path / "parts")
    with pytest.raises(KeyboardInterrupt):
        train(job, Sum(at=7, error=KeyboardInterrupt()))
    assert stored_progress(job.checkpoint("sum")).steps == 7
    train(job, parts)
    assert torch.equal(parts.line.weight, whole.line.weight)


def test_a_used_up_budget_changes_nothing(job_of):
    job, first, second = job_of(steps=3), Sum(), Sum(1)
    trained = train(job, first)
    assert not math.isnan(trained.loss)
    again = train(job, second)
    assert again.steps == 3
    assert again.loss == trained.loss
    assert second.drawn == []
    assert torch.equal(second.line.weight, first.line.weight)


def test_the_minutes_are_a_budget_too(job_of):
    trained = train(replace(job_of(), budget=Budget(10**9, 0.001)), Sum())
    assert trained.steps > 0
    assert 0.001 <= trained.minutes < 0.1


def test_what_requires_no_gradient_stays_as_it_is(job_of):
    trainer = Sum()
    trainer.line.weight.requires_grad_(False)
    before = trainer.line.weight.clone()
    bias = trainer.line.bias.detach().clone()
    train(job_of(steps=5), trainer)
    assert torch.equal(trainer.line.weight, before)
    assert not torch.equal(trainer.line.bias, bias)


def test_progress_rises_to_the_end(job_of):
    shares = []
    train(replace(job_of(steps=4), on_progress=shares.append), Sum())
    assert shares == sorted(shares)
    assert len(shares) == 4


def test_a_loss_that_is_no_number_ends_the_training(job_of):
    with pytest.raises(ModelError, match="sum: the loss is nan at step 2"):
        train(job_of(steps=5), Sum(at=2))
