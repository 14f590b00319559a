from fedmvp_flwr.base.nearest import did_you_mean, nearest


def test_the_nearest_name_or_none():
    assert nearest("sed", ["seed", "selection"]) == "seed"
    assert nearest("sed", iter(())) is None
    assert did_you_mean("sed", {"seed": 1}) == " (did you mean 'seed'?)"
    assert did_you_mean("qqqq", ["seed"]) == ""
