import json

import numpy as np
import pytest
import torch

from fedmvp_flwr.base.tensor_file import save_tensors
from fedmvp_flwr.comparison.outcomes import Group, Outcome
from fedmvp_flwr.config import RunConfig


def make_outcome(seed, accuracy, right=None, sent=1000):
    """A run with these scores, and which samples were right."""
    return Outcome(seed, dict(accuracy), {}, 60.0, sent, dict(right or {}))


@pytest.fixture(name="make_outcome")
def make_outcome_fixture():
    return make_outcome


@pytest.fixture
def make_group():
    """A group whose methods have the given accuracy in every condition, each of three seeds."""

    def make(**accuracy):
        samples = 400
        outcomes = {}
        for name, share in accuracy.items():
            right = np.arange(samples) < share * samples
            outcomes[name.replace("_", "-")] = [
                make_outcome(seed, {"complete": share, "text-only": share}, {"complete": right})
                for seed in range(3)
            ]
        return Group("", outcomes)

    return make


@pytest.fixture
def write_run():
    """Write the files that a completed run leaves and a comparison reads."""

    def write(folder, settings, accuracy, predicted=(0, 1), true=(0, 0)):
        folder.mkdir(parents=True)
        result = {
            "status": "completed",
            "config": RunConfig.from_run_config(settings).to_run_config(),
            "accuracy": accuracy,
            "seconds": {"total": 12.5},
        }
        (folder / "result.json").write_text(json.dumps(result))
        event = {"event": "round", "round": 1, "clients": [0, 3], "bytes": {"up": 10, "down": 5}}
        (folder / "metrics.jsonl").write_text(f"{json.dumps(event)}\n" * 2)
        tensors = {"complete": torch.tensor(predicted), "complete.true": torch.tensor(true)}
        save_tensors(folder / "predictions.safetensors", tensors, {})

    return write
