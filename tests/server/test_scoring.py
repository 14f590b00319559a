import pytest
from flwr.app import MetricRecord

from fedmvp_flwr import RunConfig
from fedmvp_flwr.aggregation.observer import FinishedRound
from fedmvp_flwr.aggregation.wire import pack
from fedmvp_flwr.base.jsonl import read_events
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.model.evaluation import Conditions, evaluate_conditions
from fedmvp_flwr.server.journal import Journal
from fedmvp_flwr.server.scoring import Scorer, recorded_scores


@pytest.fixture
def scored(network, make_batch, tmp_path):
    """A scorer of three rounds that evaluates each second, its model, and its events."""

    def make(test=True, **settings):
        config = RunConfig.of(num_server_rounds=3, evaluate_every=2, **settings)
        folder = RunFolder(tmp_path)
        sets = Conditions({"complete": make_batch()}, {"image-only": make_batch(seed=1)})
        scorer = Scorer(config.run, network, sets if test else None, sets, Journal(config, folder))
        arrays = pack(network.state_dict(), "fp32")
        return scorer, arrays, folder.metrics

    return make


def test_the_test_set_is_scored_when_it_is_due(scored, network):
    scorer, arrays, history = scored()
    found = [scorer.evaluate(r, arrays) for r in range(4)]
    assert [scores is not None for scores in found] == [True, False, True, True]
    assert [(e["round"], e["where"]) for e in read_events(history)] == [
        (0, "server"), (2, "server"), (3, "server"),
    ]  # fmt: skip
    expected = evaluate_conditions(network, scorer._test)
    assert found[0]["accuracy.complete"] == expected["accuracy"]["complete"]
    assert scorer.of_selected(2, history) == expected
    assert len(read_events(history)) == 3, "what is in the history is not scored again"
    assert scorer.of_selected(1, history) == expected
    assert len(read_events(history)) == 4


def test_without_a_test_set_the_clients_scores_count(scored):
    scorer, arrays, history = scored(test=False)
    assert scorer.evaluate(2, arrays) is None
    assert scorer.scores_from == "clients"
    scorer._journal.event("evaluation", {"round": 2, "where": "clients", "accuracy": {"given": 1}})
    assert scorer.of_selected(2, history) == {"accuracy": {"given": 1}}
    assert recorded_scores(history, "server", 2) == {}


@pytest.mark.parametrize(
    ("selection", "expected"), [("none", [0, 0]), ("clients", [0.25, 0]), ("server", [0, 1])]
)
def test_what_the_best_round_is_found_by(scored, selection, expected):
    scorer, arrays, history = scored(selection=selection)
    at_clients = MetricRecord({"accuracy.complete": 0.25})
    found = [
        scorer.validation_score(FinishedRound(1, arrays, at_clients, None)),
        scorer.validation_score(FinishedRound(2, arrays, None, None)),
    ]
    assert [score is not None for score in found] == [bool(value) for value in expected]
    if selection == "clients":
        assert found[0] == 0.25
    assert read_events(history) == []
