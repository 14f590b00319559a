"""Keeps the loaders of other libraries from drawing their own progress bars."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Switch off the bars of transformers, and of diffusers if it is loaded, while models load."""
    import sys

    from transformers.utils import logging as transformers_logging

    switches = [transformers_logging]
    if "diffusers" in sys.modules:
        from diffusers.utils import logging as diffusers_logging

        switches.append(diffusers_logging)
    active = [switch for switch in switches if switch.is_progress_bar_enabled()]
    for switch in active:
        switch.disable_progress_bar()
    try:
        yield
    finally:
        for switch in active:
            switch.enable_progress_bar()
