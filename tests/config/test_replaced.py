import re

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.config.replaced import REPLACED


@pytest.mark.parametrize("key", REPLACED)
def test_a_key_that_is_gone_names_what_to_write(key):
    known = RunConfig.keys()
    assert key not in known
    what = REPLACED[key].format(value=7)
    with pytest.raises(ConfigError, match=re.escape(f"key '{key}' is gone: {what}")):
        RunConfig.from_run_config({key: 7})


def test_what_to_write_names_keys_that_there_are():
    named = {key for text in REPLACED.values() for key in re.findall(r"([a-z-]+)=", text)}
    options = {"dtype", "batch", "max-tokens", "steps", "guidance", "size", "offload"}
    assert named - options <= {*RunConfig.keys()}
    assert named - options
