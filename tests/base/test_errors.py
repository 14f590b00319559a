import pytest

from fedmvp_flwr.base import errors

ALL = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]


@pytest.mark.parametrize("error", ALL)
def test_one_handler_catches_them_all_and_python_s_own_kind_too(error):
    assert issubclass(error, errors.FedMVPError)
    if error is not errors.FedMVPError:
        assert issubclass(error, ValueError | RuntimeError)


def test_too_few_replies_may_be_tried_again_and_are_a_failed_round():
    with pytest.raises(errors.RoundError, match="two"):
        raise errors.TooFewRepliesError("two")
