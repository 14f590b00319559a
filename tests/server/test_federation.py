import pytest
import torch

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import CheckpointError
from fedmvp_flwr.server.federation import build_network, fitting

TRAINING = RunConfig.of(model_width=16, model_heads=2).training


def states(make_batch, *seeds):
    return [build_network(TRAINING, seed, make_batch(), 3).state_dict() for seed in seeds]


def test_the_seed_alone_decides(make_batch):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, again, other = states(make_batch, 0, 0, 1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert any(not torch.equal(tensor, other[name]) for name, tensor in first.items())


def test_tensors_of_another_network_are_refused_by_name(make_batch):
    (state,) = states(make_batch, 0)
    assert fitting(dict(state), state) == state
    with pytest.raises(CheckpointError, match=r"\['classifier.head.bias'\] differ"):
        fitting(state | {"classifier.head.bias": torch.zeros(4)}, state)
    with pytest.raises(CheckpointError, match=r"\['more'\] differ"):
        fitting(state | {"more": torch.zeros(1)}, state)
