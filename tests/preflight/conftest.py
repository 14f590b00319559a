import pytest

from fedmvp_flwr.config import RunConfig


@pytest.fixture
def small_config(tmp_path):
    """Make the settings of a small run, with an empty cache folder."""

    def make(**settings):
        small = {
            "cache_dir": str(tmp_path / "cache"),
            "train_samples": 24,
            "test_samples": 6,
            "partition": "iid",
            "missing_ratio": 0.5,
            "image_generator": "diffusers:embedded?steps=2",
            "probe_per_class": 2,
        }
        return RunConfig.of(**(small | settings))

    return make
