"""AdamW for processes that live for one message.

`torch.optim.AdamW` imports torch's compiler when it is made, which takes 2 seconds; a deployed node
starts a process per message. This is the same update, torch's own function, without that import.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

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
