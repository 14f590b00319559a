import math

import pytest
import torch
from torch import nn

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.pretraining.checkpoints import stored_progress, use_average
from fedmvp_flwr.pretraining.loop import Budget, Rates, fit

PLAIN, AVERAGED = Rates(8, 0.1), Rates(8, 0.1, ema_decay=0.5)


def test_training_resumes_where_it_stopped(tmp_path):
    seen: list[int] = []

    def run(steps: int, path) -> torch.Tensor:
        torch.manual_seed(0)
        model = nn.Linear(3, 1)

        def loss_of(step: int) -> torch.Tensor:
            seen.append(step)
            x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
            return (model(x) - x.sum(dim=1, keepdim=True)).square().mean()

        trained = fit(model, loss_of, Budget(steps, 60), AVERAGED, checkpoint=path)
        assert trained.steps == steps
        assert stored_progress(path).steps == steps
        assert stored_progress(path).loss == trained.loss
        return model.weight.detach().clone()

    path = tmp_path / "model.safetensors"
    run(5, path)
    final = run(40, path)
    assert seen == list(range(40))
    assert torch.equal(use_average(nn.Linear(3, 1), path).weight, final)
    assert (final - 1).abs().max() < 0.2


def linear(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(3, 1)


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path):
    # The rate follows the budget, so both stop at the same one.
    def run(path, stop_at=None):
        model = linear()

        def loss_of(step: int) -> torch.Tensor:
            if step == stop_at:
                raise KeyboardInterrupt
            x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
            return (model(x) - x.sum(dim=1, keepdim=True)).square().mean()

        fit(model, loss_of, Budget(12, 60), AVERAGED, checkpoint=path)
        return model.weight.detach().clone()

    whole = run(tmp_path / "whole.safetensors")
    path = tmp_path / "parts.safetensors"
    try:
        run(path, stop_at=7)
    except KeyboardInterrupt:
        assert stored_progress(path).steps == 7
    assert torch.equal(run(path), whole)


def test_a_used_up_budget_changes_nothing(tmp_path):
    path = tmp_path / "model.safetensors"
    first = linear()

    def loss_of(step: int) -> torch.Tensor:
        return first.weight.square().sum()

    trained = fit(first, loss_of, Budget(3, 60), PLAIN, checkpoint=path)
    assert not math.isnan(trained.loss)
    second = linear(1)
    again = fit(second, loss_of, Budget(3, 60), PLAIN, checkpoint=path)
    assert again.steps == 3
    assert again.loss == trained.loss
    assert torch.equal(second.weight, first.weight)


def test_progress_rises_to_the_end(tmp_path):
    model, shares = linear(), []
    fit(
        model,
        lambda step: model.weight.square().sum(),
        Budget(4, 60),
        PLAIN,
        checkpoint=tmp_path / "m.safetensors",
        on_progress=shares.append,
    )
    assert shares == sorted(shares)
    assert len(shares) == 4


def test_a_loss_that_is_no_number_ends_the_training(tmp_path):
    model = linear()
    with pytest.raises(ModelError, match="m: the loss is nan at step 2"):
        fit(
            model,
            lambda step: model.weight.sum() * (math.nan if step == 2 else 1.0),
            Budget(5, 60),
            PLAIN,
            checkpoint=tmp_path / "m.safetensors",
        )
