import pytest

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.config import RunConfig


@pytest.fixture
def refused():
    """What is said of a value that a key does not take."""

    def say(key, value):
        with pytest.raises(ConfigError) as error:
            RunConfig.from_run_config({key: value})
        assert f"{key}=" in str(error.value)
        return str(error.value)

    return say
