import pytest

from fedmvp_flwr.reporting.curves import line_chart, round_bars, stacked_bars


def test_a_line_for_each_series_and_a_legend_only_for_several():
    one = line_chart("a", "what it says", {"Loss": {1: 2.0, 2: 1.0}}, "Loss in nats")
    two = line_chart("a", "", {"Loss": {1: 2.0}, "Other": {1: None}}, "")
    assert one.label == "what it says"
    assert "Loss in nats" in one.svg
    assert "legend" not in one.svg
    assert "legend" in two.svg
    assert "Other" in two.svg


def test_shares_are_written_as_percentages():
    series = {"Accuracy": {1: 0.25, 2: 0.75}}
    assert "50%" in line_chart("a", "", series, "", percent=True).svg
    assert "50%" not in line_chart("a", "", series, "").svg


def test_small_charts_are_smaller():
    series = {"Loss": {1: 1.0}}
    assert line_chart("a", "", series, "", small=True).width < line_chart("a", "", series, "").width


@pytest.mark.parametrize("rows", [1, 30])
def test_bars_grow_with_their_rows(rows):
    names = [f"row {i}" for i in range(rows)]
    parts = {"First": [1.0] * rows, "Second": [2.0] * rows}
    plot = stacked_bars("b", "", names, parts, "Seconds")
    assert f"row {rows - 1}" in plot.svg
    height = float(plot.view_box.split()[3])
    assert (height > 300) == (rows == 30)


def test_bars_over_rounds():
    plot = round_bars("r", "", [1, 2], {"Train": [1.0, 2.0], "Send": [0.1, 0.2]}, "Seconds")
    assert "Round" in plot.svg
    assert "Send" in plot.svg
