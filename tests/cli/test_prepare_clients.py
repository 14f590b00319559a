"""Preparing ahead of a run does all of the run's expensive work, once."""

import pytest

from fedmvp_flwr.cli.prepare_clients import prepare_all
from fedmvp_flwr.config import RunConfig


@pytest.mark.slow
def test_everything_is_made_once_and_reused_afterwards(tmp_path, monkeypatch):
    config = RunConfig.from_run_config(
        {
            "train-samples": 24,
            "test-samples": 6,
            "partition": "iid",
            "missing-ratio": 0.5,
            "image-generator": "diffusers:embedded?steps=2",
            "probe-per-class": 2,
            "cache-dir": str(tmp_path),
        }
    )
    seen = []
    first = prepare_all(config, 2, lambda stage, done, total: seen.append((stage, done, total)))
    assert (first["clients"], first["samples"], first["made"]) == (2, 24, 12)
    assert ("clients", 2, 2) in seen

    from fedmvp_flwr.foundation import bundle

    def refuse(*args, **kwargs):
        raise AssertionError("a foundation model was loaded for work that was done already")

    monkeypatch.setattr(bundle, "load_model", refuse)
    second = prepare_all(config, 2)
    assert second == first | {"made": 0, "reused": 12}
