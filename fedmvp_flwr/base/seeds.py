"""Every random number of a run descends from one seed, by name instead of by order.

A draw depends only on the run's seed and on the names of what it is for (client, round, sample),
so that neither the number of earlier draws nor the order of the clients can change it.
"""

import hashlib

import numpy as np
import torch

_SEED_BITS = 63  # torch.Generator takes a signed 64-bit seed


def seed_for(run_seed: int, *parts: str | int) -> int:
    """Derive the seed of one purpose from the run's seed.

    Args:
        run_seed: the seed of the whole run.
        *parts: names of the purpose, for example ``"mask", partition_id``; what is no valid
            Unicode in them counts as it is escaped in messages.

    Returns:
        An integer in [0, 2**63), the same on every machine and in every process.
    """
    name = "\x1f".join(
        [str(run_seed), *(f"{'str' if isinstance(part, str) else 'int'}:{part}" for part in parts)]
    )
    digest = hashlib.sha256(name.encode("utf-8", "backslashreplace")).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - _SEED_BITS)


def numpy_generator(run_seed: int, *parts: str | int) -> np.random.Generator:
    """Return a fresh NumPy generator for one purpose (see `seed_for`)."""
    return np.random.default_rng(seed_for(run_seed, *parts))


def torch_generator(run_seed: int, *parts: str | int) -> torch.Generator:
    """Return a fresh CPU torch generator for one purpose (see `seed_for`)."""
    return torch.Generator().manual_seed(seed_for(run_seed, *parts))
