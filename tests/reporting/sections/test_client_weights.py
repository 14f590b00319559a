import pytest

from fedmvp_flwr.reporting.run_record import RunRecord
from fedmvp_flwr.reporting.sections.client_weights import build


def event(number, weights, clients=(0, 1), importance=None):
    values = {"round": number, "clients": list(clients), "weights": list(weights)}
    return values | {"importance": importance, "similarity": None}


def test_the_distance_to_equal_weights_is_half_the_sum_of_the_differences():
    found = build(RunRecord(rounds=[event(1, (0.5, 0.5)), event(2, (0.7, 0.3))]))
    assert "In round 2 the weights differ from uniform by 20.00%" in found.sentences[0]
    assert "largest 0.7000 (client 0), a ratio of 2.333" in found.sentences[0]
    assert "10.00% on average and at most 20.00%, in round 2" in found.sentences[1]
    assert [row[5] for row in found.table.rows] == ["0.00%", "20.00%"]


def test_equal_weights_are_said_to_be_equal():
    found = build(RunRecord(rounds=[event(1, (0.5, 0.5))]))
    assert "All have the weight 0.5000." in found.sentences[0]
    assert len(found.sentences) == 1


def test_weights_that_do_not_sum_to_one_are_taken_as_shares():
    found = build(RunRecord(rounds=[event(1, (30, 10))]))
    assert found.table.rows[0][2:4] == ["0.2500 (client 1)", "0.7500 (client 0)"]


def test_importance_is_told_where_it_is_not_the_weight():
    found = build(RunRecord(rounds=[event(1, (0.9, 0.1), importance=[0.5, 0.5])]))
    assert "importance in the graph alone differs from uniform by 0.00%" in found.sentences[-1]


def test_a_client_without_weight():
    found = build(RunRecord(rounds=[event(1, (1.0, 0.0))]))
    assert found.table.rows[0][4] == "\N{EN DASH}"  # no ratio


@pytest.mark.parametrize(("clients", "drawn"), [(40, True), (41, False)])
def test_too_many_clients_are_not_drawn(clients, drawn):
    found = build(RunRecord(rounds=[event(1, [1 / clients] * clients, range(clients))]))
    assert (found.rounds is not None) == drawn


def test_the_weighting_is_that_of_the_settings():
    config = {"method": "fedavg", "num-server-rounds": 3}
    found = build(RunRecord(config=config, rounds=[event(1, (0.5, 0.5))]))
    assert "(weighting: examples)" in found.sentences[0]


def test_before_the_first_round():
    assert build(RunRecord()) is None
