from types import SimpleNamespace

import pytest
from flwr.app import ArrayRecord, MetricRecord

from fedmvp_flwr import RunConfig
from fedmvp_flwr.aggregation.observer import FinishedRound
from fedmvp_flwr.aggregation.replies import Rejection
from fedmvp_flwr.base.jsonl import read_events
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.model.evaluation import Conditions
from fedmvp_flwr.protocol.scores import client_metrics
from fedmvp_flwr.server.journal import Journal
from fedmvp_flwr.server.opened_run import OpenedRun
from fedmvp_flwr.server.run_observer import RunObserver

TOLD = {
    3: SimpleNamespace(held_out=4, trainable=5),
    8: SimpleNamespace(held_out=0, trainable=0),
}


@pytest.fixture
def observe(tmp_path):
    """The observer of a run with one healthy client, 3, and the events so far."""

    def make(score=None, **settings):
        config = RunConfig.of(**settings)
        folder = RunFolder(tmp_path)
        run = OpenedRun(config, folder, None, Journal(config, folder))
        admission = SimpleNamespace(told=TOLD.get)
        scorer = SimpleNamespace(validation_score=lambda finished: score)
        observer = RunObserver(run, SimpleNamespace(admission=admission), scorer)
        return observer, lambda: read_events(folder.metrics)

    return make


def scores(examples=4, count=4.0):
    metrics = client_metrics({"accuracy": {"complete": 0.5}}, Conditions({}, {}))
    return MetricRecord({"num-examples": examples, **metrics, "count.complete": count})


def test_replies_are_checked_against_what_the_node_told(observe):
    observer, _ = observe()
    assert observer.check_evaluation(3, scores()) is None
    assert "admitted with 4" in observer.check_evaluation(3, scores(examples=5))
    assert "missing metrics" in observer.check_evaluation(3, MetricRecord({"num-examples": 1}))
    assert "missing metrics" in observer.check_training(3, MetricRecord({"num-examples": 1}))


def test_a_client_without_samples_does_not_train(observe):
    observer, _ = observe()
    assert observer.may_train(3)
    assert not observer.may_train(8)


def test_what_happened_is_in_the_journal(observe):
    observer, events = observe()
    rejected = [Rejection(2, "no reply within the timeout")]
    observer.attempt_failed(7, 1, rejected)
    observer.evaluated(7, MetricRecord({"accuracy.complete": 0.5, "more": 1.0}), rejected)
    observer.evaluated(8, None, rejected)
    observer.evaluated(9, MetricRecord({"accuracy.complete": 1.0}), [])
    told = [{k: v for k, v in event.items() if k != "time"} for event in events()]
    out = [{"client": 2, "reason": "no reply within the timeout"}]
    clients = {"event": "evaluation", "where": "clients"}
    assert told == [
        {"event": "round-failed", "round": 7, "attempt": 1, "rejected": out},
        {"event": "evaluation-rejected", "round": 7, "rejected": out},
        {**clients, "round": 7, "accuracy": {"complete": 0.5}},
        {"event": "evaluation-rejected", "round": 8, "rejected": out},
        {**clients, "round": 9, "accuracy": {"complete": 1.0}},
    ]


@pytest.mark.parametrize(("patience", "stops"), [(0, False), (1, True)])
def test_the_best_model_is_kept_and_the_run_may_end(observe, patience, stops):
    observer, _ = observe(
        score=0.5, selection="clients", early_stopping_patience=patience, min_nodes=4
    )
    assert not observer.finished(FinishedRound(1, ArrayRecord(), None, None))
    assert observer.finished(FinishedRound(2, ArrayRecord(), None, None)) is stops
    assert observer.last_round == 2
    assert observer.best.selection.best_round == 1
