import pytest
import torch
from flwr.app import Error, Message, MetricRecord

from fedmvp_flwr.aggregation.exchange import sample
from fedmvp_flwr.aggregation.wire import pack, unpack
from fedmvp_flwr.base.errors import RoundError

EVALUATED = {"fraction_evaluate": 1.0, "min_evaluate_nodes": 2}


def test_the_round_is_recorded(make, grid, toy, initial):
    strategy, seen = make()
    result = strategy.start(grid(), initial, 2)
    assert [record.server_round for record in seen.records] == [1, 2]
    first = seen.records[0]
    mean_loss = sum((p + 1) * p for p in range(5)) / 15
    assert first.metrics == pytest.approx({"loss": mean_loss})
    assert result.train_metrics_clientapp[1]["loss"] == pytest.approx(mean_loss)
    assert first.rejected == []
    assert first.bytes_down == initial.count_bytes()
    assert first.bytes_up == pack(toy.state(0), "fp32").count_bytes()
    assert first.seconds.keys() == {"train", "aggregate"}


def test_arrays_travel_as_one_where_that_is_asked_for(make, grid, behave, initial):
    sent = []

    def unwraps(message, partition):
        sent.append(message.content.array_records["arrays"])
        return behave(message, partition)

    results = []
    for compress in (False, True):
        strategy, seen = make(compress=compress)
        results.append(strategy.start(grid(unwraps), initial, 1).arrays)
        assert {len(record) for record in sent} == {1 if compress else len(initial)}
        assert seen.records[0].bytes_down == sent[0].count_bytes()
        sent.clear()
    plain, wrapped = (unpack(record) for record in results)
    assert all(torch.equal(plain[name], wrapped[name]) for name in initial)


@pytest.mark.parametrize("fraction", [0.4, 0.7])
def test_sampling_depends_on_partitions_and_seed_alone(
    make, fake_grid, behave, toy, initial, fraction
):
    def chosen(nodes, shuffle, seed):
        strategy, seen = make(fraction_train=fraction, seed=seed)
        strategy.start(fake_grid(nodes, behave, shuffle), initial, 6)
        return [record.clients for record in seen.records]

    renamed = {node * 31 + 7: partition for node, partition in reversed(toy.nodes.items())}
    first = chosen(toy.nodes, 0, seed=3)
    assert all(len(clients) == int(5 * fraction) for clients in first)
    assert len({tuple(clients) for clients in first}) > 1
    assert chosen(renamed, 5, seed=3) == first
    assert chosen(toy.nodes, 0, seed=4) != first


def test_a_repeated_round_chooses_anew(make, grid, behave, initial):
    def fails(message, partition):
        if partition == 3:
            return Message(Error(code=2, reason="down"), reply_to=message)
        return behave(message, partition)

    firsts = []
    for seed in range(10):
        strategy, seen = make(fraction_train=0.4, min_replies=2, round_retries=8, seed=seed)
        flaky = grid(fails)
        strategy.start(flaky, initial, 1)
        chosen = flaky.partitions("train")
        firsts.append(3 in chosen[:2])
        assert 3 not in chosen[-2:]
        assert len(seen.failed) == len(chosen) // 2 - 1
    assert any(firsts)


def test_the_order_of_the_replies_changes_no_bit(make, grid, initial):
    results = []
    for shuffle in range(3):
        strategy, _ = make()
        results.append(unpack(strategy.start(grid(shuffle=shuffle), initial, 2).arrays))
    for other in results[1:]:
        assert all(torch.equal(other[name], results[0][name]) for name in other)


def test_bad_replies_are_named_and_the_round_goes_on(make, grid, behave, answer, toy, initial, log):
    def mixed(message, partition):
        state = toy.state(partition)
        if partition == 0:
            return Message(Error(code=2, reason="boom"), reply_to=message)
        if partition == 2:
            state["w"][0, 0] = float("nan")
        if partition == 3:
            del state["scale"]
        return answer(message, pack(state, "fp32"), {"num-examples": 3, "loss": 2.0})

    strategy, seen = make(weighting="uniform")
    result = strategy.start(grid(mixed), initial, 1)
    (record,) = seen.records
    assert record.clients == [1, 4]
    reasons = {item.client: item.reason for item in record.rejected}
    assert sorted(reasons) == [0, 2, 3]
    for client, text in ((0, "boom"), (2, "not finite"), (3, "scale")):
        assert text in reasons[client]
        assert f"reply of client {client} rejected" in log()
    expected = (toy.state(1)["w"] + toy.state(4)["w"]) / 2
    torch.testing.assert_close(unpack(result.arrays)["w"], expected)


def test_too_few_nodes_are_an_error(make, grid, initial):
    strategy, _ = make(min_available_nodes=9, node_timeout=0.0)
    with pytest.raises(RoundError, match="5 of at least 9"):
        strategy.start(grid(), initial, 1)


def test_only_admitted_nodes_are_chosen(make, grid, recorder, initial):
    class Admitting(recorder):
        late = frozenset({320})

        def admit(self, grid, node_ids):
            allowed = [node for node in node_ids if node not in self.late]
            self.late = frozenset()  # ready from the second look on
            return allowed

    strategy, seen = make(observer=Admitting())
    strategy.start(grid(), initial, 2)
    assert [record.clients for record in seen.records] == [[0, 1, 2, 4], [0, 1, 2, 3, 4]]


def test_clients_without_samples_are_asked_to_evaluate_but_not_to_train(
    make, grid, recorder, initial
):
    class Some(recorder):
        def may_train(self, client):
            return client not in (0, 3)

    strategy, _ = make(observer=Some(), weighting="uniform", **EVALUATED)
    asked = grid()
    strategy.start(asked, initial, num_rounds=1)
    assert sorted(asked.partitions("train")) == [1, 2, 4]
    assert sorted(asked.partitions("evaluate")) == [0, 1, 2, 3, 4]


def test_training_or_evaluation_can_be_off(make, grid, initial):
    strategy, seen = make(fraction_train=0.0, **EVALUATED)
    asked = grid()
    assert 1 in strategy.start(asked, initial, 1).evaluate_metrics_clientapp
    assert asked.partitions("train") == []
    assert seen.records == []
    strategy, _ = make()
    asked = grid()
    strategy.start(asked, initial, 2)
    assert asked.partitions("evaluate") == []


def test_bad_evaluations_are_named_and_do_not_end_the_run(make, grid, behave, answer, initial, log):
    def mixed(message, partition):
        if message.metadata.message_type != "evaluate" or partition == 0:
            return behave(message, partition)
        if partition == 3:
            record = MetricRecord({"num-examples": 4, "accuracy": 0.3})
            return answer(message, under_another_name=record)
        metrics = {
            1: {"num-examples": 2, "accuracy": float("nan")},
            2: {"accuracy": 0.5},
            4: {"num-examples": 0, "accuracy": 0.5},
        }
        return answer(message, metrics=metrics[partition])

    strategy, seen = make(**EVALUATED)
    result = strategy.start(grid(mixed), initial, 1)
    expected = (1 * 0.0 + 4 * 0.3) / 5
    assert result.evaluate_metrics_clientapp[1]["accuracy"] == pytest.approx(expected)
    ((server_round, scores, rejected),) = seen.evaluations
    assert (server_round, scores) == (1, result.evaluate_metrics_clientapp[1])
    assert [item.client for item in rejected] == [1, 2, 4]
    for client in (1, 2, 4):
        assert f"reply of client {client} rejected" in log()


def test_an_evaluation_that_nobody_answers_has_no_scores(make, grid, behave, initial):
    silent = grid(lambda m, p: None if m.metadata.message_type == "evaluate" else behave(m, p))
    strategy, seen = make(**EVALUATED)
    assert strategy.start(silent, initial, 1).evaluate_metrics_clientapp == {}
    ((_, scores, rejected),) = seen.evaluations
    assert scores is None
    assert [(r.client, r.reason) for r in rejected] == [
        (client, "no reply within the timeout") for client in range(5)
    ]


def test_a_project_may_refuse_replies_by_their_metrics(make, grid, recorder, initial):
    class Checking(recorder):
        def check_training(self, client, metrics):
            most = 2 if client == 3 else client + 1
            claimed = metrics["num-examples"]
            return f"claims {claimed}" if claimed > most else None

        check_evaluation = check_training

    strategy, seen = make(observer=Checking(), **EVALUATED)
    result = strategy.start(grid(), initial, 1)
    (record,), ((_, _, refused),) = seen.records, seen.evaluations
    assert record.clients == [0, 1, 2, 4]
    for rejected in (record.rejected, refused):
        assert [(r.client, r.reason) for r in rejected] == [(3, "claims 4")]
    expected = sum((p + 1) * 0.1 * p for p in (0, 1, 2, 4)) / 11
    assert result.evaluate_metrics_clientapp[1]["accuracy"] == pytest.approx(expected)


def test_metrics_that_a_project_cannot_average_end_no_run(make, grid, initial, log):
    def stumble(contents, weighted_by):
        raise KeyError("count.complete")

    strategy, seen = make(
        train_metrics_aggr_fn=stumble, evaluate_metrics_aggr_fn=stumble, **EVALUATED
    )
    result = strategy.start(grid(), initial, 2)
    assert [record.metrics for record in seen.records] == [{}, {}]
    assert seen.evaluations == []
    assert result.evaluate_metrics_clientapp == {}
    assert "Round 2: the metrics of the clients cannot be averaged" in log()
    assert "KeyError: 'count.complete'" in log()


NODES = [40, 10, 30, 20, 50]


@pytest.mark.parametrize(
    ("fraction", "minimum", "size"), [(0.5, 0, 2), (0.1, 2, 2), (0.0, 9, 5), (1.0, 0, 5)]
)
def test_how_many(fraction, minimum, size):
    chosen = sample(NODES, fraction, minimum, 0, "train", 1)
    assert len(chosen) == size
    assert chosen == [node for node in NODES if node in chosen]


def test_each_purpose_and_round_and_attempt_has_its_own_choice():
    parts = [("train", r) for r in range(9)] + [("train", 0, "attempt", 1), ("evaluate", 0)]
    choices = [sample(range(100), 0.1, 1, 0, *names) for names in parts]
    assert len({tuple(choice) for choice in choices}) == len(parts)
    assert sample(range(100), 0.1, 1, 0, *parts[0]) == choices[0]


def test_nobody_to_choose_from():
    assert sample([], 1.0, 2, 0, "train", 1) == []
