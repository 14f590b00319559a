import pytest

from fedmvp_flwr import RunConfig


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("method", "fedprox"),
        ("alpha", -1.0),
        ("beta", -0.1),
        ("temperature", 0.0),
        ("auxiliary-weight", -1.0),
        ("modality-dropout", 1.0),
        ("views", "fixed"),
        ("views", "fixed:0.5"),
        ("views", "fixed:0.7,0.4"),
        ("views", "fixed:-0.1,0.4"),
        ("views", "often:0.5,0.5"),
        ("weighting", "equal"),
        ("graph-temperature", 0.0),
    ],
)
def test_values_out_of_range_are_refused_by_key(refused, key, value):
    refused(key, value)


def test_a_wrong_choice_is_one_problem_that_names_the_choices(refused):
    said = refused("weighting", "equal")
    assert said.count("weighting") == 1
    for choice in ("auto", "importance", "uniform", "examples", "importance-examples"):
        assert f"'{choice}'" in said


@pytest.mark.parametrize(
    ("settings", "weighting", "graph"),
    [
        ({}, "importance", True),
        ({"method": "fedavg"}, "examples", False),
        ({"method": "fedavg", "weighting": "importance-examples"}, "importance-examples", True),
        ({"weighting": "uniform"}, "uniform", False),
        ({"method": "server-only"}, "examples", False),
    ],
    ids=str,
)
def test_the_method_decides_how_clients_are_weighed_unless_that_is_said(settings, weighting, graph):
    method = RunConfig.of(**settings).method
    assert (method.client_weighting, method.uses_graph) == (weighting, graph)


@pytest.mark.parametrize(
    ("views", "chances"),
    [("adaptive", None), ("fixed:0.7,0", (0.7, 0.0)), ("fixed: 0.5, 0.5", (0.5, 0.5))],
)
def test_views_follow_the_data_or_have_chances_of_their_own(views, chances):
    assert RunConfig.of(views=views).method.fixed_views == chances
