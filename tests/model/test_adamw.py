import subprocess
import sys

import pytest
import torch

from fedmvp_flwr.model.adamw import AdamW

PROGRAM = """
import sys, torch
from fedmvp_flwr.model.adamw import AdamW
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
def test_it_is_torchs_to_the_bit(weight_decay):
    ours, theirs = network(), network()
    optimizers = (
        AdamW(ours.parameters(), 0.01, weight_decay),
        torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=weight_decay),
    )
    inputs = torch.randn(10, 6, 4, generator=torch.Generator().manual_seed(1))
    for step, batch in enumerate(inputs):
        for model, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            if step < 3:  # a parameter that gets no gradient at first
                model[0].bias.grad = None
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


def test_it_does_not_import_the_compiler():
    assert subprocess.run([sys.executable, "-c", PROGRAM], check=False).returncode == 0
