"""Muon (Jordan et al. 2024) for weight matrices, AdamW for everything else, in one optimiser.

Fewer steps are needed than with AdamW alone, and steps are what a CPU has few of. PyTorch's own
Muon works in bfloat16, which many CPUs emulate slowly; this one stays in float32.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # quintic coefficients of the reference implementation
_ITERATIONS = 4
_BETAS = (0.9, 0.98)
_EPS = 1e-8
_DECAY = 0.01


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for hidden matrices, AdamW for all other parameters."""

    def __init__(self, matrices: Iterable[Tensor], others: Iterable[Tensor]) -> None:
        """Take the parameters of both kinds; the rates are set by the training loop."""
        groups = [
            {"params": list(matrices), "muon": True},
            {"params": list(others), "muon": False},
        ]
        super().__init__(groups, {"lr": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            update = self._matrix if group["muon"] else self._adam
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * _DECAY)
                    update(parameter, parameter.grad, group["lr"])

    def _matrix(self, parameter: Tensor, gradient: Tensor, rate: float) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        # A kernel (out, in, k, k) is the matrix (out, in * k * k).
        matrix = gradient.lerp(state["momentum"], _MOMENTUM).flatten(1)
        rows, columns = matrix.shape
        direction = orthogonalise(matrix).reshape(parameter.shape)
        parameter.add_(direction, alpha=-rate * max(1.0, rows / columns) ** 0.5)

    def _adam(self, parameter: Tensor, gradient: Tensor, rate: float) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["mean"] = torch.zeros_like(parameter)
            state["square"] = torch.zeros_like(parameter)
        state["step"] += 1
        step = float(state["step"])
        state["mean"].lerp_(gradient, 1 - _BETAS[0])
        state["square"].lerp_(gradient.square(), 1 - _BETAS[1])
        mean = state["mean"] / (1 - _BETAS[0] ** step)
        square = state["square"] / (1 - _BETAS[1] ** step)
        parameter.addcdiv_(mean, square.sqrt_().add_(_EPS), value=-rate)


def orthogonalise(matrix: Tensor) -> Tensor:
    """Push the singular values of a matrix towards 1 by Newton-Schulz iterations."""
    a, b, c = _NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if tall else matrix
    x = x / (x.norm() + _EPS)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = a * x + torch.addmm(gram, gram, gram, beta=b, alpha=c) @ x
    return x.T if tall else x


def split_parameters(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Hidden weight matrices and square convolutions, and all other parameters.

    Embeddings and output heads are matrices too, but no maps between hidden spaces.
    """
    outer = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters(recurse=False)
    }
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in model.named_parameters():
        square = parameter.ndim == 4 and parameter.shape[0] == parameter.shape[1]
        hidden = parameter.ndim == 2 and id(parameter) not in outer and _is_hidden(name)
        hidden = hidden or square
        (matrices if hidden else others).append(parameter)
    return matrices, others


def _is_hidden(name: str) -> bool:
    return any(part in name for part in ("blocks", "layers", "layer.", "block."))
