from fedmvp_flwr.comparison import charts


def test_a_bar_for_each_method_and_condition(make_group):
    plot = charts.bars("b", "what it says", make_group(mask=0.5, fedmvp=0.75), ["complete"])
    assert plot.label == "what it says"
    assert "mask" in plot.svg
    assert "fedmvp" in plot.svg


def test_methods_over_bytes_and_over_a_key(make_group):
    group = make_group(mask=0.5, fedmvp=0.75)
    assert "MB of model messages" in charts.over_bytes("y", "", group).svg
    plot = charts.over_key("k", "", "missing-ratio", {0.2: group, 0.8: group}, "complete")
    assert "missing-ratio" in plot.svg
