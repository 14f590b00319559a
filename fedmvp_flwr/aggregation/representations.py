"""How every client's model represents the probe."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from flwr.app import ArrayRecord
from torch import Tensor

from fedmvp_flwr.aggregation.replies import Rejection, Reply

_LONGEST = 500  # characters of a reason

Represent = Callable[[ArrayRecord, Any], Tensor]
"""From a client's arrays and the probe to (m, d) representations of its m samples."""


def represent_all(
    replies: Sequence[Reply],
    represent: Represent,
    probe: Any,  # noqa: ANN401 - whatever `represent` takes
) -> tuple[Tensor | None, list[Reply], list[Rejection]]:
    """Represent the probe by each client's arrays.

    Returns:
        The representations (clients, m, d) on the CPU, None without any; the replies that they
        belong to; and the rejections of those whose representation is not finite, or for whose
        arrays `represent` raises an error.

    Raises:
        ValueError: `represent` gives something else than a matrix, or another shape than before.
    """
    kept: list[Reply] = []
    reps: list[Tensor] = []
    rejected: list[Rejection] = []
    for reply in replies:
        try:
            rep = torch.as_tensor(represent(reply.record, probe))
        except Exception as error:  # of a function from anywhere, over the arrays of anyone
            reason = f"represent raised {type(error).__name__}: {error}"[:_LONGEST]
            rejected.append(Rejection(reply.client, reason))
            continue
        if rep.ndim != 2 or (reps and rep.shape != reps[0].shape):
            raise ValueError(
                f"represent gave shape {tuple(rep.shape)} for client {reply.client}, expected "
                f"{tuple(reps[0].shape) if reps else '(m, d)'} as for every client."
            )
        if torch.isfinite(rep).all():
            kept.append(reply)
            reps.append(rep.detach().cpu())
        else:
            rejected.append(Rejection(reply.client, "its representation is not finite"))
    return torch.stack(reps) if reps else None, kept, rejected
