import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from fedmvp_flwr.features import Batch, ModalityBatch

TOKEN_WIDTHS = {"image": 6, "text": 5}
POOLED_WIDTHS = {"image": 7, "text": 4}
_TINY = "fedmvp_tiny_models"


def make_modality(count, length, token_width, pooled_width, generator, present=None):
    """Random features; each present sample has between 1 and `length` valid tokens."""
    present = torch.ones(count, dtype=torch.bool) if present is None else present
    lengths = torch.randint(1, length + 1, (count,), generator=generator)
    mask = (torch.arange(length) < lengths[:, None]) & present[:, None]
    tokens = torch.randn(count, length, token_width, generator=generator) * mask[:, :, None]
    pooled = torch.randn(count, pooled_width, generator=generator) * present[:, None]
    return ModalityBatch(tokens, mask, pooled, present, torch.zeros(count, dtype=torch.bool))


def make_batch(count=8, seed=0, lengths=(4, 3), num_classes=3, present=None):
    """A random batch of two modalities; `present` names (N,) flags by modality."""
    generator = torch.Generator().manual_seed(seed)
    modalities = {
        name: make_modality(
            count,
            length,
            TOKEN_WIDTHS[name],
            POOLED_WIDTHS[name],
            generator,
            (present or {}).get(name),
        )
        for name, length in zip(("image", "text"), lengths, strict=True)
    }
    labels = torch.randint(num_classes, (count,), generator=generator)
    return Batch(modalities, labels)


@pytest.fixture(name="make_batch")
def make_batch_fixture():
    return make_batch


@pytest.fixture
def widths():
    return TOKEN_WIDTHS, POOLED_WIDTHS


@pytest.fixture
def network(widths):
    from fedmvp_flwr.model.network import FedMVPNetwork

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FedMVPNetwork(*widths, 3, width=16, layers=1, heads=2, dropout=0.0).eval()


@pytest.fixture(scope="session")
def tiny_models_module():
    """The builders of tiny foundation models, which live beside the tests of the adapters."""
    if _TINY not in sys.modules:
        path = Path(__file__).with_name("foundation") / "tiny_models.py"
        spec = importlib.util.spec_from_file_location(_TINY, path)
        sys.modules[_TINY] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[_TINY])
    return sys.modules[_TINY]


@pytest.fixture
def summary():
    """What a healthy node tells when it is asked to prepare."""
    counts = {"made": 1, "reused": 2, "rejected": 0}
    model = {"spec": "tiny", "fingerprint": "ab12", "revision": None}
    return {
        "partition-id": 3,
        "samples": 5,
        "held-out": 2,
        "complete": 2,
        "trainable": 5,
        "missing": {"image": 3, "text": 0},
        "labels": [3, 0, 2],
        "completions": {"image": counts, "text": counts},
        "gate-threshold": 0.25,
        "widths": {"image": [8, 4], "text": [8, 4]},
        "seconds": {"completion": 0.0, "features": 1.5},
        "models": {"image-encoder": model, "text-encoder": model},
        "hashes": {"split": "0a", "mask": "1b", "test-mask": "2c", "keys": "3d"},
        "name": "",
    }
