"""Held-out pairs of the embedded data, completed by the embedded models."""

import pytest

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.quality.comparison import run_quality


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    return RunConfig.of(
        train_samples=60,
        test_samples=40,
        image_generator="diffusers:embedded?steps=2",
        cache_dir=str(tmp_path_factory.mktemp("cache")),
        prompt_template="coarse",
    )


@pytest.fixture(scope="session")
def both(config):
    return run_quality(config, num_samples=24, templates=("coarse", "coarse-to-fine"))


@pytest.fixture
def apart(config, tiny_models_module, tmp_path):
    """Encoders that share no space, and no gate."""
    clip = tiny_models_module.build_open_clip(tmp_path / "clip", seed=5)
    return config.changed(image_encoder=f"open_clip:{clip}", quality_gate=0.0)
