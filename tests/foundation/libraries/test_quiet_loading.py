import logging
from importlib.util import find_spec

import pytest

from fedmvp_flwr.foundation.libraries.quiet_loading import quiet_libraries

pytestmark = pytest.mark.skipif(
    not (find_spec("transformers") and find_spec("diffusers")), reason="they are extras"
)


def state():
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    return [
        (s.get_verbosity(), s.is_progress_bar_enabled()) for s in (of_transformers, of_diffusers)
    ]


def test_bars_and_hints_are_off_within_and_back_afterwards():
    before = state()
    with quiet_libraries(diffusers=True):
        assert state() == [(logging.ERROR, False)] * 2
    assert state() == before


def test_diffusers_is_left_alone_unless_it_is_asked_for():
    before = state()
    with quiet_libraries():
        assert state()[0] == (logging.ERROR, False)
        assert state()[1] == before[1]


def test_they_are_back_after_an_error_as_well():
    before = state()
    with pytest.raises(ValueError, match="broken"), quiet_libraries(diffusers=True):
        raise ValueError("broken")
    assert state() == before


def test_what_was_off_stays_off():
    from transformers.utils import logging as of_transformers

    before = state()
    of_transformers.disable_progress_bar()
    try:
        with quiet_libraries():
            pass
        assert not of_transformers.is_progress_bar_enabled()
    finally:
        if before[0][1]:
            of_transformers.enable_progress_bar()
