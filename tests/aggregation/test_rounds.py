import pytest
import torch
from flwr.app import ConfigRecord, Error, Message, MetricRecord

from fedmvp_flwr.aggregation.checkpoint import CheckpointStore
from fedmvp_flwr.aggregation.wire import unpack
from fedmvp_flwr.base.errors import RoundError


def failing(behave, when):
    """Clients of which those fail for which `when(partition, attempt at the message)` holds."""
    asked = {}

    def respond(message, partition):
        asked[partition] = asked.get(partition, 0) + 1
        if message.metadata.message_type == "train" and when(partition, asked[partition]):
            return Message(Error(code=2, reason="down"), reply_to=message)
        return behave(message, partition)

    return respond


def test_a_round_with_too_few_replies_is_repeated(make, grid, behave, initial):
    strategy, seen = make(min_replies=4, round_retries=1)
    flaky = grid(failing(behave, lambda partition, time: partition < 2 and time == 1))
    result = strategy.start(flaky, initial, 2)
    assert [record.server_round for record in seen.records] == [1, 2]
    assert all(record.clients == [0, 1, 2, 3, 4] for record in seen.records)
    ((server_round, attempt, rejected),) = seen.failed
    assert (server_round, attempt) == (1, 1)
    assert [item.client for item in rejected] == [0, 1]
    undisturbed, _ = make(min_replies=4)
    expected = undisturbed.start(grid(), initial, 2)
    assert torch.equal(unpack(result.arrays)["w"], unpack(expected.arrays)["w"])


@pytest.mark.parametrize("retries", [0, 2])
def test_a_round_that_never_gets_enough_fails_the_run(make, grid, behave, initial, retries):
    strategy, seen = make(min_replies=5, round_retries=retries)
    broken = grid(failing(behave, lambda partition, time: partition == 2))
    with pytest.raises(RoundError, match=r"4 valid .* minimum of 5.*client 2: .*down"):
        strategy.start(broken, initial, 3)
    assert seen.records == []
    assert len(broken.partitions("train")) == 5 * (1 + retries)
    assert [attempt for _, attempt, _ in seen.failed] == list(range(1, retries + 2))


@pytest.mark.parametrize("weighting", ["importance", "uniform"])
@pytest.mark.parametrize("silent", [True, False])
def test_no_valid_reply_ends_the_run(make, grid, initial, weighting, silent):
    def fail(message, partition):
        error = Error(code=2, reason=f"boom {partition}")
        return None if silent else Message(error, reply_to=message)

    why = "no reply within the timeout" if silent else "boom 0"
    strategy, seen = make(weighting=weighting)
    with pytest.raises(RoundError, match=rf"Round 1 has no valid reply.*{why}"):
        strategy.start(grid(fail), initial, 3)
    assert seen.records == []


def test_one_valid_reply_is_enough(make, grid, behave, toy, initial):
    strategy, seen = make()
    result = strategy.start(grid(lambda m, p: behave(m, p) if p == 1 else None), initial, 1)
    assert seen.records[0].weights == [1.0]
    assert torch.equal(unpack(result.arrays)["w"], toy.state(1)["w"])


@pytest.mark.parametrize(("every", "rounds"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5])])
def test_evaluation_comes_when_it_is_due(make, grid, initial, every, rounds):
    strategy, _ = make(evaluate_every=every, fraction_evaluate=1.0, min_evaluate_nodes=2)
    result = strategy.start(grid(), initial, 5)
    assert list(result.evaluate_metrics_clientapp) == rounds
    mean = sum((p + 1) * 0.1 * p for p in range(5)) / 15
    assert result.evaluate_metrics_clientapp[5]["accuracy"] == pytest.approx(mean)


@pytest.mark.parametrize("first", [2, 3, 4])
def test_a_later_first_round_ends_like_the_whole_run(make, grid, initial, first):
    settings = {"fraction_train": 0.5, "fraction_evaluate": 1.0, "evaluate_every": 2}
    whole, seen = make(**settings)
    expected = whole.start(grid(), initial, 4)
    before, _ = make(**settings)
    half = before.start(grid(), initial, first - 1)
    after, later = make(**settings)
    result = after.start(grid(shuffle=7), half.arrays, 4, first_round=first)
    assert torch.equal(unpack(result.arrays)["w"], unpack(expected.arrays)["w"])
    assert [r.server_round for r in later.records] == list(range(first, 5))
    assert [r.clients for r in later.records] == [r.clients for r in seen.records[first - 1 :]]
    scores = [(number, dict(metrics)) for number, metrics, _ in seen.evaluations]
    assert [(n, dict(metrics)) for n, metrics, _ in later.evaluations] == [
        item for item in scores if item[0] >= first
    ]


def test_no_round_left_gives_the_arrays_back(make, grid, initial):
    strategy, seen = make()
    result = strategy.start(grid(), initial, 3, first_round=4)
    assert torch.equal(unpack(result.arrays)["w"], unpack(initial)["w"])
    assert seen.records == []


def test_a_second_run_of_a_strategy_chooses_as_the_first(make, grid, initial):
    strategy, seen = make(fraction_train=0.4)
    strategy.start(grid(), initial, 1)
    strategy.start(grid(), initial, 1)
    assert seen.records[0].clients == seen.records[1].clients


def test_the_round_is_told_to_the_clients(make, grid, behave, initial):
    seen = []
    listening = grid(lambda m, p: seen.append(dict(m.content["config"])) or behave(m, p))
    strategy, _ = make()
    strategy.start(listening, initial, 2, train_config=ConfigRecord({"rate": 0.5}))
    assert {"rate": 0.5, "server-round": 2} in seen


def test_a_checkpoint_per_round(make, grid, recorder, initial, tmp_path):
    class Telling(recorder):
        def checkpoint_metadata(self):
            return {"rounds": [finished.server_round for finished in self.rounds]}

    strategy, _ = make(checkpoint_dir=tmp_path, observer=Telling())
    result = strategy.start(grid(), initial, 5)
    assert len(list(tmp_path.iterdir())) == 3
    latest = CheckpointStore(tmp_path).latest()
    assert latest.server_round == 5
    assert latest.metadata["rounds"] == [1, 2, 3, 4, 5]
    for name, tensor in unpack(result.arrays).items():
        assert torch.equal(latest.tensors[name], tensor)


def test_a_run_can_be_ended_after_a_round(make, grid, recorder, initial, tmp_path):
    class Impatient(recorder):
        def finished(self, finished):
            super().finished(finished)
            return finished.server_round == 2

    strategy, seen = make(observer=Impatient(), checkpoint_dir=tmp_path, fraction_evaluate=1.0)
    strategy.start(grid(), initial, 9, evaluate_fn=lambda r, a: MetricRecord({"x": r}))
    assert [record.server_round for record in seen.records] == [1, 2]
    assert CheckpointStore(tmp_path).latest().server_round == 2
    assert [(r.server_round, r.at_server["x"]) for r in seen.rounds] == [(1, 1), (2, 2)]
    assert all("accuracy" in finished.at_clients for finished in seen.rounds)
