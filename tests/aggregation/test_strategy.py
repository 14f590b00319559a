import pytest
import torch
from flwr.app import ArrayRecord
from flwr.serverapp.strategy import FedAvg

from fedmvp_flwr import FedMVP, cka_matrix, graph_importance
from fedmvp_flwr.aggregation.checkpoint import CheckpointStore
from fedmvp_flwr.aggregation.wire import pack, unpack
from fedmvp_flwr.base.errors import RoundError

WEIGHTINGS = ["importance", "uniform", "examples", "importance-examples"]


def slow_average(toy, weights, name):
    total = torch.zeros_like(toy.state(0)[name], dtype=torch.float64)
    for partition, weight in weights.items():
        total += weight * toy.state(partition)[name].double()
    return total


def representations(toy, partitions=range(5)):
    return torch.stack([toy.represent(pack(toy.state(p), "fp32"), toy.probe) for p in partitions])


def expected_weights(toy, weighting):
    examples = torch.arange(1.0, 6.0, dtype=torch.float64)
    importance = graph_importance(representations(toy)).double()
    weights = {
        "uniform": torch.ones(5, dtype=torch.float64),
        "examples": examples,
        "importance": importance,
        "importance-examples": importance * examples,
    }[weighting]
    return weights / weights.sum()


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_the_average_equals_a_slow_loop(make, grid, toy, initial, weighting):
    strategy, seen = make(weighting=weighting)
    result = strategy.start(grid(), initial, 1)
    (record,) = seen.records
    assert record.clients == [0, 1, 2, 3, 4]
    assert record.weights == pytest.approx(expected_weights(toy, weighting).tolist(), abs=1e-6)
    weights = dict(zip(record.clients, record.weights, strict=True))
    average = unpack(result.arrays)
    for name in ("w", "scale"):
        assert torch.equal(average[name], slow_average(toy, weights, name).float())
    assert int(average["count"]) == round(float(slow_average(toy, weights, "count")))
    assert average["count"].dtype == torch.int64
    if weighting.startswith("importance"):
        assert sum(record.importance) == pytest.approx(1.0)
        torch.testing.assert_close(
            torch.tensor(record.similarity), cka_matrix(representations(toy))
        )
    else:
        assert (record.importance, record.similarity) == (None, None)


def test_a_client_that_cannot_be_represented_is_left_out(make, grid, toy, initial):
    def fragile(arrays, probe):
        rep = toy.represent(arrays, probe)
        return rep / 0 if int(unpack(arrays)["count"]) == 12 else rep

    strategy, seen = make(toy.probe, fragile)
    strategy.start(grid(), initial, 1)
    (record,) = seen.records
    assert record.clients == [0, 1, 3, 4]
    assert [item.client for item in record.rejected] == [2]
    assert sum(record.weights) == pytest.approx(1.0)


def test_a_plain_model_with_batch_norm_from_anywhere(make, grid, answer, toy):
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
        strategy, _ = make(toy.probe, linear)
        result = strategy.start(grid(behave), ArrayRecord(build(0).state_dict()), 2)
        model = build(0)
        model.load_state_dict(result.arrays.to_torch_state_dict())
    assert int(model[1].num_batches_tracked) in range(1, 6)
    assert torch.isfinite(model(toy.probe)).all()


@pytest.mark.parametrize("weighting", ["importance", "importance-examples"])
@pytest.mark.parametrize("given", ["probe", "represent", "nothing"])
def test_the_graph_needs_a_probe_and_representations(toy, weighting, given):
    arguments = {given: getattr(toy, given, None)} if given != "nothing" else {}
    with pytest.raises(ValueError, match="give probe and represent"):
        FedMVP(**arguments, weighting=weighting)


def test_an_unknown_weighting_is_refused(toy):
    with pytest.raises(ValueError, match="'importnace'"):
        FedMVP(toy.probe, toy.represent, weighting="importnace")


def test_the_summary_names_the_settings(make, log):
    strategy, _ = make(weighting="importance-examples", graph_temperature=0.25, seed=42)
    strategy.summary()
    for text in ("importance-examples", "0.25", "42", "Fraction"):
        assert text in log()


def test_a_refined_average_is_what_the_next_round_starts_from(make, grid, toy, initial):
    seen = []

    def refine(server_round, arrays, probe):
        assert probe is toy.probe
        seen.append((server_round, unpack(arrays)["w"]))
        return pack({name: t + 1 for name, t in unpack(arrays).items()}, "fp32")

    plain, _ = make()
    refined, _ = make(refine=refine)
    expected = plain.start(grid(), initial, 2)
    result = refined.start(grid(), initial, 2)
    assert [server_round for server_round, _ in seen] == [1, 2]
    torch.testing.assert_close(seen[-1][1], unpack(expected.arrays)["w"])
    torch.testing.assert_close(unpack(result.arrays)["w"], unpack(expected.arrays)["w"] + 1)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_refined_average_that_is_not_finite_ends_the_run_before_its_checkpoint(
    make, grid, initial, tmp_path, value
):
    def refine(server_round, arrays, probe):
        state = unpack(arrays)
        if server_round == 2:
            state["w"][0, 0] = value
        return pack(state, "fp32")

    strategy, seen = make(refine=refine, checkpoint_dir=tmp_path)
    with pytest.raises(RoundError, match=r"Round 2: the refined average .* not finite .* 'w'"):
        strategy.start(grid(), initial, 3)
    assert [record.server_round for record in seen.records] == [1]
    assert CheckpointStore(tmp_path).latest().server_round == 1


class Own(FedMVP):
    """Every step is another one."""

    def select(self, replies, similarity):
        assert similarity.shape == (5, 5)
        return [i for i, reply in enumerate(replies) if reply.client != 2]

    def weights(self, replies, importance):
        assert sum(importance) == pytest.approx(1.0)
        return [0.25] * len(replies)

    def average(self, replies, weights):
        state = {name: t + 1 for name, t in unpack(super().average(replies, weights)).items()}
        return pack(state, "fp32")

    def server_step(self, server_round, average):
        return pack({name: 2 * t for name, t in unpack(average).items()}, "fp32")


def test_each_step_can_be_replaced(make, grid, toy, initial):
    strategy, seen = make(kind=Own)
    result = strategy.start(grid(), initial, 1)
    (record,) = seen.records
    assert record.clients == [0, 1, 3, 4]
    assert record.rejected == []
    reps = representations(toy, record.clients)
    torch.testing.assert_close(torch.tensor(record.similarity), cka_matrix(reps))
    assert record.importance == pytest.approx(graph_importance(reps).tolist())
    weights = dict.fromkeys(record.clients, 0.25)
    expected = 2 * (slow_average(toy, weights, "w").float() + 1)
    torch.testing.assert_close(unpack(result.arrays)["w"], expected)


def test_an_average_that_is_not_finite_ends_the_run(make, grid, toy, initial):
    class Poisoned(FedMVP):
        def average(self, replies, weights):
            return pack({**toy.state(0), "w": torch.full((3, 4), float("inf"))}, "fp32")

    strategy, seen = make(kind=Poisoned)
    with pytest.raises(RoundError, match="Round 1: the average has values that are not finite"):
        strategy.start(grid(), initial, 1)
    assert seen.records == []


def test_flowers_own_loop_runs_it(make, grid, initial):
    settings = {"fraction_train": 0.4, "fraction_evaluate": 1.0, "evaluate_every": 2}
    ours, _ = make(**settings)
    expected = ours.start(grid(), initial, 4)
    flowers, seen = make(**settings)
    result = FedAvg.start(flowers, grid(), initial, 4)
    assert torch.equal(unpack(result.arrays)["w"], unpack(expected.arrays)["w"])
    assert [record.server_round for record in seen.records] == [1, 2, 3, 4]
    assert list(result.evaluate_metrics_clientapp) == [2, 4]
