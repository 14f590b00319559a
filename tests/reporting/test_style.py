import re

from fedmvp_flwr.reporting.style import STYLE
from fedmvp_flwr.reporting.svg import Ink


def test_every_ink_of_the_drawings_is_defined_for_light_and_dark():
    light, dark = STYLE.split("prefers-color-scheme: dark", 1)
    for ink in Ink:
        assert f"--{ink.name.lower()}:" in light
        assert f"--{ink.name.lower()}:" in dark


def test_every_variable_that_is_used_is_defined():
    used = set(re.findall(r"var\(--([a-z]+)", STYLE)) - {"natural"}  # set by each drawing
    assert used <= set(re.findall(r"--([a-z]+):", STYLE))


def test_braces_are_balanced():
    assert STYLE.count("{") == STYLE.count("}")
