import logging

import pytest
import torch
from flwr.app import ConfigRecord, Error, Message, MetricRecord

from fedmvp_flwr import FedMVP, graph_importance
from fedmvp_flwr.aggregation.checkpoint import CheckpointStore
from fedmvp_flwr.aggregation.wire import pack, unpack
from fedmvp_flwr.base.errors import RoundError

NODES = {501: 4, 77: 0, 320: 3, 15: 1, 9000: 2}


def client_state(partition, server_round=1):
    generator = torch.Generator().manual_seed(100 * server_round + partition)
    return {
        "w": torch.randn(3, 4, generator=generator),
        "scale": torch.randn((), generator=generator),
        "count": torch.tensor(10 + partition),
    }


def represent(arrays, probe):
    return probe @ unpack(arrays)["w"]


PROBE = torch.randn(6, 3, generator=torch.Generator().manual_seed(9))


@pytest.fixture
def behave(answer):
    """Clients that answer with their own state and with partition + 1 examples."""

    def respond(message, partition):
        count = partition + 1
        if message.metadata.message_type == "evaluate":
            return answer(message, metrics={"num-examples": count, "accuracy": 0.1 * partition})
        server_round = message.content["config"]["server-round"]
        arrays = pack(client_state(partition, server_round), "fp32")
        return answer(message, arrays, {"num-examples": count, "loss": float(partition)})

    return respond


@pytest.fixture
def initial():
    return pack({n: torch.zeros_like(t) for n, t in client_state(0).items()}, "fp32")


@pytest.fixture
def make(initial):
    """A strategy, what it recorded, and how to run it."""

    def build(**arguments):
        records = []
        arguments = {"fraction_evaluate": 0.0, "min_evaluate_nodes": 0} | arguments
        strategy = FedMVP(PROBE, represent, on_round=records.append, **arguments)
        return strategy, records

    return build


@pytest.fixture
def log(caplog):
    logger = logging.getLogger("flwr")
    logger.addHandler(caplog.handler)
    yield lambda: "\n".join(record.getMessage() for record in caplog.records)
    logger.removeHandler(caplog.handler)


def slow_average(partitions, weights, name):
    total = torch.zeros_like(client_state(0)[name], dtype=torch.float64)
    for partition, weight in zip(partitions, weights, strict=True):
        total += weight * client_state(partition)[name].double()
    return total


def expected_weights(weighting):
    examples = torch.arange(1.0, 6.0, dtype=torch.float64)
    reps = torch.stack([PROBE @ client_state(partition)["w"] for partition in range(5)])
    importance = graph_importance(reps).double()
    weights = {
        "uniform": torch.ones(5, dtype=torch.float64),
        "examples": examples,
        "importance": importance,
        "importance-examples": importance * examples,
    }[weighting]
    return weights / weights.sum()


@pytest.mark.parametrize("weighting", ["importance", "uniform", "examples", "importance-examples"])
def test_the_average_equals_a_slow_loop(make, fake_grid, behave, initial, weighting):
    strategy, records = make(weighting=weighting)
    result = strategy.start(fake_grid(NODES, behave), initial, 1)
    (record,) = records
    weights = expected_weights(weighting)
    assert record.clients == [0, 1, 2, 3, 4]
    assert record.weights == pytest.approx(weights.tolist(), abs=1e-6)
    average = unpack(result.arrays)
    for name in ("w", "scale"):
        expected = slow_average(range(5), record.weights, name).float()
        assert torch.equal(average[name], expected)
    assert int(average["count"]) == round(float(slow_average(range(5), record.weights, "count")))
    assert average["count"].dtype == torch.int64
    uses_graph = weighting.startswith("importance")
    assert (record.importance is not None) == uses_graph
    assert (record.similarity is not None) == uses_graph


def test_the_round_is_recorded(make, fake_grid, behave, initial):
    strategy, records = make()
    result = strategy.start(fake_grid(NODES, behave), initial, 2)
    assert [record.server_round for record in records] == [1, 2]
    first = records[0]
    mean_loss = sum((p + 1) * p for p in range(5)) / 15
    assert first.metrics == pytest.approx({"loss": mean_loss})
    assert result.train_metrics_clientapp[1]["loss"] == pytest.approx(mean_loss)
    assert first.rejected == []
    assert first.bytes_down == initial.count_bytes()
    assert first.bytes_up == pack(client_state(0), "fp32").count_bytes()
    assert torch.tensor(first.similarity).shape == (5, 5)
    assert sum(first.importance) == pytest.approx(1.0)
    assert first.seconds.keys() == {"train", "aggregate"}


def test_arrays_travel_as_one_where_that_is_asked_for(make, fake_grid, behave, initial):
    sent = []

    def unwraps(message, partition):
        sent.append(message.content.array_records["arrays"])
        return behave(message, partition)

    results = []
    for parcel in (False, True):
        strategy, records = make(parcel=parcel)
        results.append(strategy.start(fake_grid(NODES, unwraps), initial, 1).arrays)
        assert {len(record) for record in sent} == {1 if parcel else len(initial)}
        assert records[0].bytes_down == sent[0].count_bytes()
        sent.clear()
    plain, wrapped = (unpack(record) for record in results)
    assert all(torch.equal(plain[name], wrapped[name]) for name in initial)


@pytest.mark.parametrize("fraction", [0.4, 0.7])
def test_sampling_depends_on_partitions_and_seed_alone(make, fake_grid, behave, initial, fraction):
    def chosen(nodes, shuffle, seed):
        strategy, records = make(fraction_train=fraction, seed=seed)
        strategy.start(fake_grid(nodes, behave, shuffle), initial, 6)
        return [record.clients for record in records]

    renamed = {node * 31 + 7: partition for node, partition in reversed(NODES.items())}
    first = chosen(NODES, 0, seed=3)
    assert all(len(clients) == int(5 * fraction) for clients in first)
    assert len({tuple(clients) for clients in first}) > 1
    assert chosen(renamed, 5, seed=3) == first
    assert chosen(NODES, 0, seed=4) != first


def test_the_order_of_the_replies_changes_no_bit(make, fake_grid, behave, initial):
    results = []
    for shuffle in range(3):
        strategy, _ = make()
        result = strategy.start(fake_grid(NODES, behave, shuffle), initial, 2)
        results.append(unpack(result.arrays))
    for other in results[1:]:
        assert all(torch.equal(other[name], results[0][name]) for name in other)


def test_bad_replies_are_named_and_the_round_goes_on(make, fake_grid, behave, answer, initial, log):
    def mixed(message, partition):
        if partition == 0:
            return Message(Error(code=2, reason="boom"), reply_to=message)
        if partition == 2:
            state = client_state(2)
            state["w"][0, 0] = float("nan")
            return answer(message, pack(state, "fp32"), {"num-examples": 3, "loss": 2.0})
        if partition == 3:
            state = client_state(3)
            del state["scale"]
            return answer(message, pack(state, "fp32"), {"num-examples": 3, "loss": 2.0})
        return behave(message, partition)

    strategy, records = make(weighting="uniform")
    result = strategy.start(fake_grid(NODES, mixed), initial, 1)
    assert records[0].clients == [1, 4]
    reasons = {item.client: item.reason for item in records[0].rejected}
    assert sorted(reasons) == [0, 2, 3]
    assert "boom" in reasons[0]
    assert "not finite" in reasons[2]
    assert "scale" in reasons[3]
    for client in (0, 2, 3):
        assert f"reply of client {client} rejected" in log()
    expected = slow_average([1, 4], [0.5, 0.5], "w").float()
    torch.testing.assert_close(unpack(result.arrays)["w"], expected)


def test_a_representation_that_is_not_finite_rejects_its_client(fake_grid, behave, initial):
    def fragile(arrays, probe):
        rep = represent(arrays, probe)
        return rep / 0 if int(unpack(arrays)["count"]) == 12 else rep

    records = []
    strategy = FedMVP(PROBE, fragile, on_round=records.append, fraction_evaluate=0.0)
    strategy.start(fake_grid(NODES, behave), initial, 1)
    assert records[0].clients == [0, 1, 3, 4]
    assert [item.client for item in records[0].rejected] == [2]
    assert "representation" in records[0].rejected[0].reason
    assert sum(records[0].weights) == pytest.approx(1.0)


def test_a_reply_that_never_comes_is_named(make, fake_grid, behave, initial):
    strategy, records = make()
    grid = fake_grid(NODES, lambda m, p: None if p == 3 else behave(m, p))
    strategy.start(grid, initial, 1)
    assert records[0].clients == [0, 1, 2, 4]
    assert [(r.client, r.reason) for r in records[0].rejected] == [
        (3, "no reply within the timeout")
    ]


def test_the_error_of_a_dead_node_counts_for_that_node(make, fake_grid, behave, initial):
    def dead(message, partition):
        if partition != 2:
            return behave(message, partition)
        reply = Message(Error(code=5, reason="node unavailable"), reply_to=message)
        reply.metadata.__dict__["_src_node_id"] = 1  # as Flower does
        return reply

    strategy, records = make()
    strategy.start(fake_grid(NODES, dead), initial, 1)
    assert [item.client for item in records[0].rejected] == [2]
    assert "unavailable" in records[0].rejected[0].reason


@pytest.mark.parametrize("weighting", ["importance", "uniform"])
def test_no_valid_reply_ends_the_run(make, fake_grid, initial, weighting):
    def fail(message, partition):
        return Message(Error(code=2, reason=f"boom {partition}"), reply_to=message)

    strategy, records = make(weighting=weighting)
    with pytest.raises(RoundError, match=r"Round 1 has no valid reply.*boom 0"):
        strategy.start(fake_grid(NODES, fail), initial, 3)
    assert records == []


def test_silence_ends_the_run(make, fake_grid, initial):
    strategy, _ = make()
    with pytest.raises(RoundError, match="no reply within the timeout"):
        strategy.start(fake_grid(NODES, lambda *_: None), initial, 1)


def test_one_valid_reply_is_enough(make, fake_grid, behave, initial):
    strategy, records = make()
    grid = fake_grid(NODES, lambda m, p: behave(m, p) if p == 1 else None)
    result = strategy.start(grid, initial, 1)
    assert records[0].weights == [1.0]
    assert torch.equal(unpack(result.arrays)["w"], client_state(1)["w"])


def test_too_few_nodes_are_an_error(make, fake_grid, behave, initial):
    strategy, _ = make(min_available_nodes=9, node_timeout=0.0)
    with pytest.raises(RoundError, match="5 of at least 9"):
        strategy.start(fake_grid(NODES, behave), initial, 1)


@pytest.mark.parametrize(("every", "rounds"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5])])
def test_evaluation_comes_when_it_is_due(make, fake_grid, behave, initial, every, rounds):
    strategy, _ = make(evaluate_every=every, fraction_evaluate=1.0, min_evaluate_nodes=2)
    result = strategy.start(fake_grid(NODES, behave), initial, 5)
    assert list(result.evaluate_metrics_clientapp) == rounds
    mean = sum((p + 1) * 0.1 * p for p in range(5)) / 15
    assert result.evaluate_metrics_clientapp[5]["accuracy"] == pytest.approx(mean)


def test_evaluation_can_be_off(make, fake_grid, behave, initial):
    strategy, _ = make()
    grid = fake_grid(NODES, behave)
    strategy.start(grid, initial, 2)
    assert grid.partitions("evaluate") == []


def test_bad_evaluations_are_named_and_do_not_end_the_run(
    make, fake_grid, behave, answer, initial, log
):
    def mixed(message, partition):
        if message.metadata.message_type != "evaluate":
            return behave(message, partition)
        metrics = {
            1: {"num-examples": 2, "accuracy": float("nan")},
            2: {"accuracy": 0.5},
            4: {"num-examples": 0, "accuracy": 0.5},
        }
        if partition in metrics:
            return answer(message, metrics=metrics[partition])
        if partition == 3:
            record = MetricRecord({"num-examples": 4, "accuracy": 0.3})
            return answer(message, under_another_name=record)
        return behave(message, partition)

    strategy, _ = make(fraction_evaluate=1.0, min_evaluate_nodes=2)
    result = strategy.start(fake_grid(NODES, mixed), initial, 1)
    expected = (1 * 0.0 + 4 * 0.3) / 5
    assert result.evaluate_metrics_clientapp[1]["accuracy"] == pytest.approx(expected)
    for client in (1, 2, 4):
        assert f"reply of client {client} rejected" in log()


def test_no_evaluation_at_all_is_no_result(make, fake_grid, behave, initial):
    grid = fake_grid(
        NODES, lambda m, p: None if m.metadata.message_type == "evaluate" else behave(m, p)
    )
    strategy, _ = make(fraction_evaluate=1.0, min_evaluate_nodes=2)
    assert strategy.start(grid, initial, 1).evaluate_metrics_clientapp == {}


def test_training_can_be_off(make, fake_grid, behave, initial):
    strategy, records = make(fraction_train=0.0, fraction_evaluate=1.0, min_evaluate_nodes=2)
    grid = fake_grid(NODES, behave)
    result = strategy.start(grid, initial, 1)
    assert grid.partitions("train") == []
    assert records == []
    assert 1 in result.evaluate_metrics_clientapp


def test_a_checkpoint_per_round(make, fake_grid, behave, initial, tmp_path):
    strategy, _ = make(checkpoint_dir=tmp_path, checkpoint_metadata={"config": "abc"})
    result = strategy.start(fake_grid(NODES, behave), initial, 5)
    assert len(list(tmp_path.iterdir())) == 3
    latest = CheckpointStore(tmp_path).latest()
    assert latest.server_round == 5
    assert latest.metadata["config"] == "abc"
    for name, tensor in unpack(result.arrays).items():
        assert torch.equal(latest.tensors[name], tensor)


@pytest.mark.parametrize("wire", ["bf16", "fp16"])
def test_short_types_on_the_wire(fake_grid, answer, wire):
    def behave(message, partition):
        return answer(message, pack(client_state(partition), wire), {"num-examples": 1})

    start = pack({n: torch.zeros_like(t) for n, t in client_state(0).items()}, wire)
    strategy = FedMVP(weighting="uniform", fraction_evaluate=0.0)
    result = strategy.start(fake_grid(NODES, behave), start, 1)
    received = [unpack(pack(client_state(p), wire))["w"].double() for p in range(5)]
    expected = pack({"w": sum(0.2 * w for w in received)}, wire)["w"]
    assert result.arrays["w"].data == expected.data
    assert result.arrays.count_bytes() == start.count_bytes()


def test_the_average_has_the_types_of_the_global_model(fake_grid, answer, initial):
    def behave(message, partition):
        wire = "bf16" if partition == 0 else "fp16"
        return answer(message, pack(client_state(partition), wire), {"num-examples": 1})

    strategy = FedMVP(weighting="uniform", fraction_evaluate=0.0)
    result = strategy.start(fake_grid(NODES, behave), initial, 1)
    assert list(result.arrays) == list(initial)
    for name, array in result.arrays.items():
        assert (array.dtype, array.stype) == (initial[name].dtype, initial[name].stype)


def test_a_plain_model_with_batch_norm_from_anywhere(fake_grid, answer):
    from flwr.app import ArrayRecord

    def build(seed):
        torch.manual_seed(seed)
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        for _ in range(seed):
            model(torch.randn(5, 3))
        return model

    def behave(message, partition):
        model = build(partition + 1)
        return answer(message, ArrayRecord(model.state_dict()), {"num-examples": 10})

    def linear(arrays, probe):
        model = build(0)
        model.load_state_dict(arrays.to_torch_state_dict())
        return model.eval()(probe)

    with torch.random.fork_rng():
        start = ArrayRecord(build(0).state_dict())
        strategy = FedMVP(PROBE, linear, fraction_evaluate=0.0)
        result = strategy.start(fake_grid(NODES, behave), start, 2)
        model = build(0)
        model.load_state_dict(result.arrays.to_torch_state_dict())
    assert int(model[1].num_batches_tracked) in range(1, 6)
    assert torch.isfinite(model(PROBE)).all()


@pytest.mark.parametrize("weighting", ["importance", "importance-examples"])
@pytest.mark.parametrize("given", [(None, represent), (PROBE, None), (None, None)])
def test_the_graph_needs_a_probe_and_representations(weighting, given):
    with pytest.raises(ValueError, match="give probe and represent"):
        FedMVP(*given, weighting=weighting)


def test_an_unknown_weighting_is_refused():
    with pytest.raises(ValueError, match="'importnace'"):
        FedMVP(PROBE, represent, weighting="importnace")


def test_the_round_is_told_to_the_clients(make, fake_grid, behave, initial):
    strategy, _ = make()
    seen = []
    grid = fake_grid(NODES, lambda m, p: seen.append(dict(m.content["config"])) or behave(m, p))
    strategy.start(grid, initial, 2, train_config=ConfigRecord({"rate": 0.5}))
    assert {"rate": 0.5, "server-round": 2} in seen


def test_the_summary_names_the_settings(make, log):
    strategy, _ = make(weighting="importance-examples", graph_temperature=0.25, seed=42)
    strategy.summary()
    for text in ("importance-examples", "0.25", "42", "Fraction"):
        assert text in log()


def test_a_refined_average_is_what_the_next_round_starts_from(fake_grid, behave, initial, make):
    seen = []

    def refine(server_round, arrays, probe):
        assert probe is PROBE
        seen.append((server_round, unpack(arrays)["w"]))
        return pack({name: t + 1 for name, t in unpack(arrays).items()}, "fp32")

    plain, _ = make()
    refined, _ = make(refine=refine)
    expected = plain.start(fake_grid(NODES, behave), initial, 2)
    result = refined.start(fake_grid(NODES, behave), initial, 2)
    assert [server_round for server_round, _ in seen] == [1, 2]
    torch.testing.assert_close(seen[-1][1], unpack(expected.arrays)["w"])
    torch.testing.assert_close(unpack(result.arrays)["w"], unpack(expected.arrays)["w"] + 1)


def failing(behave, when):
    """Clients of which those fail for which `when(partition, attempt at the message)` holds."""
    asked = {}

    def respond(message, partition):
        asked[partition] = asked.get(partition, 0) + 1
        if message.metadata.message_type == "train" and when(partition, asked[partition]):
            return Message(Error(code=2, reason="down"), reply_to=message)
        return behave(message, partition)

    return respond


def test_a_round_with_too_few_replies_is_repeated(make, fake_grid, behave, initial):
    failed = []
    strategy, records = make(
        min_replies=4, round_retries=1, on_retry=lambda *values: failed.append(values)
    )
    grid = fake_grid(NODES, failing(behave, lambda partition, time: partition < 2 and time == 1))
    result = strategy.start(grid, initial, 2)
    assert [record.server_round for record in records] == [1, 2]
    assert all(record.clients == [0, 1, 2, 3, 4] for record in records)
    ((server_round, attempt, rejected),) = failed
    assert (server_round, attempt) == (1, 1)
    assert [item.client for item in rejected] == [0, 1]
    undisturbed, _ = make(min_replies=4)
    expected = undisturbed.start(fake_grid(NODES, behave), initial, 2)
    assert torch.equal(unpack(result.arrays)["w"], unpack(expected.arrays)["w"])


def test_a_repeated_round_chooses_anew(make, fake_grid, behave, initial):
    strategy, _ = make(fraction_train=0.4, min_replies=2, round_retries=8)
    grid = fake_grid(NODES, failing(behave, lambda partition, time: partition == 3))
    strategy.seed = next(seed for seed in range(99) if 3 in first_choice(strategy, seed))
    strategy.start(grid, initial, 1)
    chosen = grid.partitions("train")
    assert 3 in chosen[:2]
    assert 3 not in chosen[-2:]


def first_choice(strategy, seed):
    from fedmvp_flwr.base.seeds import numpy_generator

    return numpy_generator(seed, "sampling", "train", 1).choice(5, size=2, replace=False)


@pytest.mark.parametrize("retries", [0, 2])
def test_a_round_that_never_gets_enough_fails_the_run(make, fake_grid, behave, initial, retries):
    strategy, records = make(min_replies=5, round_retries=retries)
    grid = fake_grid(NODES, failing(behave, lambda partition, time: partition == 2))
    with pytest.raises(RoundError, match=r"4 valid .* minimum of 5.*client 2: .*down"):
        strategy.start(grid, initial, 3)
    assert records == []
    assert len(grid.partitions("train")) == 5 * (1 + retries)


@pytest.mark.parametrize("arguments", [{"min_replies": 0}, {"round_retries": -1}])
def test_impossible_numbers_are_refused(make, arguments):
    with pytest.raises(ValueError, match="min_replies must be at least 1"):
        make(**arguments)


@pytest.mark.parametrize("first", [2, 3, 4])
def test_a_later_first_round_ends_like_the_whole_run(make, fake_grid, behave, initial, first):
    settings = {"fraction_train": 0.5, "fraction_evaluate": 1.0, "evaluate_every": 2}
    evaluated = []
    whole, records = make(on_evaluate=lambda r, m: evaluated.append((r, dict(m))), **settings)
    expected = whole.start(fake_grid(NODES, behave), initial, 4)
    before, _ = make(**settings)
    half = before.start(fake_grid(NODES, behave), initial, first - 1)
    later_evaluated = []
    after, later = make(on_evaluate=lambda r, m: later_evaluated.append((r, dict(m))), **settings)
    result = after.start(fake_grid(NODES, behave, 7), half.arrays, 4, first_round=first)
    assert torch.equal(unpack(result.arrays)["w"], unpack(expected.arrays)["w"])
    assert [r.server_round for r in later] == list(range(first, 5))
    assert [r.clients for r in later] == [r.clients for r in records[first - 1 :]]
    assert later_evaluated == [item for item in evaluated if item[0] >= first]


def test_no_round_left_gives_the_arrays_back(make, fake_grid, behave, initial):
    strategy, records = make()
    result = strategy.start(fake_grid(NODES, behave), initial, 3, first_round=4)
    assert torch.equal(unpack(result.arrays)["w"], unpack(initial)["w"])
    assert records == []


def test_a_run_can_be_ended_after_a_round(make, fake_grid, behave, initial, tmp_path):
    seen = []

    def stop(finished):
        seen.append((finished.server_round, finished.at_server, dict(finished.at_clients or {})))
        return finished.server_round == 2

    strategy, records = make(on_finished=stop, checkpoint_dir=tmp_path, fraction_evaluate=1.0)
    strategy.start(
        fake_grid(NODES, behave), initial, 9, evaluate_fn=lambda r, a: MetricRecord({"x": r})
    )
    assert [record.server_round for record in records] == [1, 2]
    assert CheckpointStore(tmp_path).latest().server_round == 2
    assert [(item[0], item[1]["x"]) for item in seen] == [(1, 1), (2, 2)]
    assert all("accuracy" in item[2] for item in seen)


def test_the_metadata_of_a_checkpoint_may_be_computed(make, fake_grid, behave, initial, tmp_path):
    rounds = []
    strategy, _ = make(
        checkpoint_dir=tmp_path,
        on_finished=lambda finished: rounds.append(finished.server_round),
        checkpoint_metadata=lambda: {"rounds": list(rounds)},
    )
    strategy.start(fake_grid(NODES, behave), initial, 2)
    assert CheckpointStore(tmp_path).latest().metadata["rounds"] == [1, 2]


def test_only_admitted_nodes_are_chosen(make, fake_grid, behave, initial):
    grid = fake_grid(NODES, behave)
    late = {320}

    def admit(_, node_ids):
        allowed = [node for node in node_ids if node not in late]
        late.clear()  # ready from the second look on
        return allowed

    strategy, records = make(admit=admit)
    strategy.start(grid, initial, 2)
    assert [record.clients for record in records] == [[0, 1, 2, 4], [0, 1, 2, 3, 4]]


def test_a_second_reply_of_a_client_does_not_count(make, fake_grid, behave, initial, log):
    class Twice(fake_grid):
        def send_and_receive(self, messages, *, timeout=None):
            replies = super().send_and_receive(messages, timeout=timeout)
            return [*replies, *replies[:2]]

    strategy, records = make(weighting="examples")
    result = strategy.start(Twice(NODES, behave), initial, 1)
    once, _ = make(weighting="examples")
    expected = once.start(fake_grid(NODES, behave), initial, 1)
    assert records[0].clients == [0, 1, 2, 3, 4]
    assert torch.equal(unpack(result.arrays)["w"], unpack(expected.arrays)["w"])
    assert "second reply" in log()


def test_idle_clients_are_asked_to_evaluate_but_not_to_train(make, fake_grid, behave, initial):
    strategy, _ = make(
        weighting="uniform",
        idle=frozenset({0, 3}),
        fraction_train=1.0,
        fraction_evaluate=1.0,
        min_evaluate_nodes=2,
    )
    grid = fake_grid(NODES, behave)
    strategy.start(grid, initial, num_rounds=1)
    assert sorted(grid.partitions("train")) == [1, 2, 4]
    assert sorted(grid.partitions("evaluate")) == [0, 1, 2, 3, 4]


LARGE = 1e30  # more than float16 holds


def test_a_value_that_the_global_type_cannot_hold_never_enters_the_model(
    make, fake_grid, behave, answer, initial
):
    def overflowing(message, partition):
        state = client_state(partition)
        if partition == 2:
            state["w"][0, 0] = LARGE
        return answer(message, pack(state, "fp32"), {"num-examples": 1})

    start = pack({n: torch.zeros_like(t) for n, t in client_state(0).items()}, "fp16")
    strategy, records = make(weighting="examples")
    result = strategy.start(fake_grid(NODES, overflowing), start, 1)
    assert [item.client for item in records[0].rejected] == [2]
    assert torch.isfinite(unpack(result.arrays)["w"]).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_refined_average_that_is_not_finite_ends_the_run_before_its_checkpoint(
    make, fake_grid, behave, initial, tmp_path, value
):
    def refine(server_round, arrays, probe):
        state = unpack(arrays)
        if server_round == 2:
            state["w"][0, 0] = value
        return pack(state, "fp32")

    strategy, records = make(refine=refine, checkpoint_dir=tmp_path)
    with pytest.raises(RoundError, match=r"Round 2: the refined average .* not finite .* 'w'"):
        strategy.start(fake_grid(NODES, behave), initial, 3)
    assert [record.server_round for record in records] == [1]
    assert CheckpointStore(tmp_path).latest().server_round == 1


def test_an_average_that_is_not_finite_ends_the_run(make, fake_grid, behave, initial, monkeypatch):
    poisoned = pack({**client_state(0), "w": torch.full((3, 4), float("inf"))}, "fp32")
    monkeypatch.setattr(
        "fedmvp_flwr.aggregation.strategy.weighted_average", lambda *arguments: poisoned
    )
    strategy, records = make()
    with pytest.raises(RoundError, match="Round 1: the average has values that are not finite"):
        strategy.start(fake_grid(NODES, behave), initial, 1)
    assert records == []


def test_a_project_may_refuse_replies_by_their_metrics(make, fake_grid, behave, initial):
    most = {client: client + 1 for client in range(5)} | {3: 2}

    def check(client, metrics):
        claimed = metrics["num-examples"]
        return f"claims {claimed}" if claimed > most[client] else None

    refused = []
    strategy, records = make(
        check_training=check,
        check_evaluation=check,
        on_rejected=lambda *values: refused.append(values),
        fraction_evaluate=1.0,
    )
    result = strategy.start(fake_grid(NODES, behave), initial, 1)
    assert records[0].clients == [0, 1, 2, 4]
    assert [(r.client, r.reason) for r in records[0].rejected] == [(3, "claims 4")]
    ((server_round, rejected),) = refused
    assert server_round == 1
    assert [(r.client, r.reason) for r in rejected] == [(3, "claims 4")]
    expected = sum((p + 1) * 0.1 * p for p in (0, 1, 2, 4)) / 11
    assert result.evaluate_metrics_clientapp[1]["accuracy"] == pytest.approx(expected)


def test_silent_evaluations_are_told_of_as_well(make, fake_grid, behave, initial):
    refused = []
    strategy, _ = make(on_rejected=lambda *values: refused.append(values), fraction_evaluate=1.0)
    silent = fake_grid(
        NODES,
        lambda m, p: None if p == 1 and m.metadata.message_type == "evaluate" else behave(m, p),
    )
    strategy.start(silent, initial, 1)
    ((_, rejected),) = refused
    assert [(r.client, r.reason) for r in rejected] == [(1, "no reply within the timeout")]


def test_nothing_is_told_where_every_evaluation_is_valid(make, fake_grid, behave, initial):
    refused = []
    strategy, _ = make(on_rejected=lambda *values: refused.append(values), fraction_evaluate=1.0)
    strategy.start(fake_grid(NODES, behave), initial, 1)
    assert refused == []


def test_metrics_that_a_project_cannot_average_end_no_run(make, fake_grid, behave, initial, log):
    def stumble(contents, weighted_by):
        raise KeyError("count.complete")

    evaluated = []
    strategy, records = make(
        train_metrics_aggr_fn=stumble,
        evaluate_metrics_aggr_fn=stumble,
        on_evaluate=lambda *values: evaluated.append(values),
        fraction_evaluate=1.0,
    )
    result = strategy.start(fake_grid(NODES, behave), initial, 2)
    assert [record.metrics for record in records] == [{}, {}]
    assert evaluated == []
    assert result.evaluate_metrics_clientapp == {}
    assert "Round 2: the metrics of the clients cannot be averaged" in log()
    assert "KeyError: 'count.complete'" in log()


@pytest.mark.parametrize("rogue", [0, 4])
def test_scores_of_our_own_that_cannot_be_are_rejected_and_the_rest_is_averaged(
    make, fake_grid, behave, answer, initial, rogue
):
    from fedmvp_flwr.model.evaluation import Conditions
    from fedmvp_flwr.protocol.scores import average_client_metrics, client_metrics, wrong_scores

    def scored(message, partition):
        if message.metadata.message_type != "evaluate":
            return behave(message, partition)
        if partition == rogue:
            return answer(message, metrics={"num-examples": 9, "accuracy.complete": 1.0})
        metrics = client_metrics({"accuracy": {"complete": 0.5}}, Conditions({}, {}))
        metrics["count.complete"] = 4.0
        return answer(message, metrics={"num-examples": 4, **metrics})

    refused = []
    strategy, _ = make(
        check_evaluation=lambda client, metrics: wrong_scores(metrics, 4),
        evaluate_metrics_aggr_fn=average_client_metrics,
        on_rejected=lambda *values: refused.append(values),
        fraction_evaluate=1.0,
    )
    result = strategy.start(fake_grid({1: 0, 2: 4}, scored), initial, 1)
    assert dict(result.evaluate_metrics_clientapp[1]) == {
        "accuracy.complete": 0.5,
        "macro-f1.complete": 0.0,
    }
    assert [item.client for item in refused[0][1]] == [rogue]
    assert "missing metrics" in refused[0][1][0].reason
