import math

import pytest
import torch
from torch import nn

from fedmvp_flwr.pretraining.checkpoints import (
    Trained,
    resume,
    save_checkpoint,
    stored_progress,
    use_average,
)
from fedmvp_flwr.pretraining.muon import Muon, split_parameters


def model_after(steps, seed=0):
    torch.manual_seed(seed)
    model = nn.ModuleDict({"blocks": nn.Linear(3, 3), "norm": nn.BatchNorm1d(3)})
    optimizer = Muon(*split_parameters(model))
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    for _ in range(steps):
        model["norm"](model["blocks"](torch.randn(4, 3))).square().sum().backward()
        optimizer.step()
    return model, optimizer


@pytest.fixture
def saved(tmp_path):
    model, optimizer = model_after(3)
    average = {name: value.detach() / 2 for name, value in model.named_parameters()}
    path = tmp_path / "work" / "model.safetensors"
    resume(path, model, optimizer, average)  # makes the folder
    save_checkpoint(path, model, optimizer, average, Trained(3, 0.5, 1.25))
    return path, model, optimizer, average


def test_without_a_checkpoint_training_begins(tmp_path):
    model, optimizer = model_after(0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained = resume(tmp_path / "none.safetensors", model, optimizer, {})
    assert (trained.steps, trained.minutes) == (0, 0.0)
    assert math.isnan(trained.loss)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_weights_average_and_optimiser_come_back(saved):
    path, model, optimizer, average = saved
    other, fresh = model_after(0, seed=1)
    theirs = {name: torch.zeros_like(value) for name, value in other.named_parameters()}
    assert resume(path, other, fresh, theirs) == stored_progress(path) == Trained(3, 0.5, 1.25)
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    for name, value in average.items():
        assert torch.equal(theirs[name], value)
    states, ours = (o.state_dict()["state"] for o in (fresh, optimizer))
    assert states.keys() == ours.keys()
    for index, state in ours.items():
        assert all(torch.equal(states[index][key], value) for key, value in state.items())


def test_a_look_takes_the_average_and_what_has_none(saved):
    path, model, _, average = saved
    shown = use_average(model_after(0, seed=1)[0], path)
    assert not shown.training
    for name, value in shown.named_parameters():
        assert torch.equal(value, average[name])
    assert torch.equal(shown["norm"].running_mean, model["norm"].running_mean)
