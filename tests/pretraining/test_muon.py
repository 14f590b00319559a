import torch
from torch import nn

from fedmvp_flwr.pretraining.muon import Muon, orthogonalise, split_parameters


def test_orthogonalised_matrices_have_singular_values_near_one():
    for shape in ((6, 20), (20, 6), (8, 8)):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        values = torch.linalg.svdvals(orthogonalise(matrix))
        assert values.max() < 1.3
        assert values.median() > 0.6


def test_muon_trains_a_small_network():
    torch.manual_seed(0)
    model = nn.ModuleDict({"blocks": nn.Linear(4, 4, bias=False), "head": nn.Linear(4, 1)})
    matrices, others = split_parameters(model)
    assert [tuple(p.shape) for p in matrices] == [(4, 4)]
    assert len(others) == 2
    optimizer = Muon(matrices, others)
    for group in optimizer.param_groups:
        group["lr"] = 0.02
    x = torch.randn(64, 4)
    losses = []
    for _ in range(60):
        loss = (model["head"](model["blocks"](x)) - x[:, :1]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]
