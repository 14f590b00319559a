from types import SimpleNamespace

import pytest
import torch

from fedmvp_flwr import RunConfig
from fedmvp_flwr.aggregation.wire import unpack
from fedmvp_flwr.server import federation
from fedmvp_flwr.server.federation import build_network

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


def test_a_resumed_run_begins_with_its_checkpoint_and_not_with_that_of_another_network(make_batch):
    network = build_network(TRAINING, 0, make_batch(), 3)
    (before,) = states(make_batch, 1)
    run = SimpleNamespace(
        config=RunConfig.of(wire_dtype="fp32"), point=SimpleNamespace(tensors=before)
    )
    arrays = unpack(federation._first_arrays(run, network))
    assert all(torch.equal(tensor, before[name]) for name, tensor in arrays.items())
    run.point.tensors = before | {"classifier.head.bias": torch.zeros(4)}
    with pytest.raises(RuntimeError, match=r"classifier\.head\.bias"):
        federation._first_arrays(run, network)
