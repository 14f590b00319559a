import re
from typing import get_args

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.registry import parse_spec
from fedmvp_flwr.foundation.spec import Role


@pytest.mark.parametrize("key", ["image-grid", "text-max-tokens", "foundation-batch-size"])
def test_numbers_are_at_least_1(refused, key):
    refused(key, 0)
    assert RunConfig.from_run_config({key: 1}).to_run_config()[key] == 1


@pytest.mark.parametrize("role", get_args(Role))
def test_the_default_of_each_role_and_the_options_of_its_description_are_understood(role):
    field = ModelSettings.model_fields[role]
    assert parse_spec(role, field.default).options.batch is None
    for options in re.findall(r"`(\?\S+)`", field.description):
        assert parse_spec(role, field.default + options).options.batch in (4, 8)
