import pytest

from fedmvp_flwr import RunConfig


@pytest.mark.parametrize("key", ["missing-ratio", "missing-image-share", "test-missing-ratio"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "half"])
def test_a_share_lies_between_0_and_1(refused, key, value):
    refused(key, value)
    missing = [RunConfig.from_run_config({key: share}).missing for share in (0, 1)]
    assert [values.model_dump(by_alias=True)[key] for values in missing] == [0.0, 1.0]


def test_the_test_samples_have_no_holes_unless_that_is_said():
    assert RunConfig.of(missing_ratio=0.5).missing.test_missing_ratio == 0.0


@pytest.mark.parametrize("key", ["missing-pattern", "test-missing-pattern"])
def test_a_pattern_that_is_called_otherwise_now_says_so(refused, key):
    assert "is called 'owner' now" in refused(key, "client")
