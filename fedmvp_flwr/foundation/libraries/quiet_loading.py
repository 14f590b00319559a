"""Keeps other libraries from drawing bars and giving hints while models load."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


@contextmanager
def quiet_libraries(*, diffusers: bool = False) -> Iterator[None]:
    """Switch off bars and warnings of transformers; errors are raised as ever.

    Their warnings are about how a model was written, not about what is wrong with it: what a
    loader lacks is checked by our own code, and refused.

    Args:
        diffusers: those of diffusers as well, which is imported for it.
    """
    names = ["transformers", "diffusers"] if diffusers else ["transformers"]
    switches: list[Any] = [import_module(f"{name}.utils.logging") for name in names]
    before = [(switch.get_verbosity(), switch.is_progress_bar_enabled()) for switch in switches]
    for switch in switches:
        switch.set_verbosity_error()
        switch.disable_progress_bar()
    try:
        yield
    finally:
        for switch, (verbosity, bars) in zip(switches, before, strict=True):
            switch.set_verbosity(verbosity)
            if bars:
                switch.enable_progress_bar()
