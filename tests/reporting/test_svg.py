import re

import pytest

from fedmvp_flwr.reporting.curves import line_chart, stacked_bars
from fedmvp_flwr.reporting.svg import Ink, printable


@pytest.fixture(scope="module")
def bars():
    parts = {"Complete": [1.0, 2.0], "Image missing": [3.0, 1.0], "Text missing": [0.0, 1.0]}
    return stacked_bars("bars", "label", ["0", "1"], parts, "Samples")


def test_colours_become_variables_of_the_page(bars):
    assert not [ink for ink in Ink if ink.value in bars.svg]
    for variable in ("--text", "--muted", "--grid", "--first", "--second", "--third"):
        assert f"var({variable})" in bars.svg


def test_variables_are_never_in_presentation_attributes(bars):
    assert not re.search(r'(fill|stroke)="[^"]*var', bars.svg)


def test_nothing_points_outside(bars):
    assert "http" not in bars.svg
    assert "xlink" not in bars.svg
    assert "<metadata" not in bars.svg


def test_ids_of_two_drawings_never_meet(bars):
    other = stacked_bars("other", "label", ["0", "1"], {"Complete": [1.0, 2.0]}, "Samples")
    ids = [set(re.findall(r'\bid="([^"]+)"', plot.svg)) for plot in (bars, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for plot, own in zip((bars, other), ids, strict=True):
        used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', plot.svg)
        assert {a or b for a, b in used} <= own


def test_the_same_drawing_is_the_same_text():
    first, second = (
        line_chart("x", "label", {"Loss": {1: 0.5, 2: None, 3: 0.25}}, "Loss") for _ in range(2)
    )
    assert first == second


def test_text_of_a_drawing_has_no_control_characters_and_an_end():
    assert printable("a\x00b\nc\ud800") == "a b c "
    assert printable("x" * 50, 10) == "x" * 9 + "…"
