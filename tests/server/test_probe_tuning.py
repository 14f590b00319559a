from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from fedmvp_flwr import RunConfig
from fedmvp_flwr.aggregation.wire import pack, unpack
from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.server.probe import Probe
from fedmvp_flwr.server.probe_tuning import ProbeTuner, as_real

CONFIG = RunConfig.of(
    learning_rate=0.01,
    probe_tuning_rate=1.0,
    probe_tuning_epochs=10,
    batch_size=4,
    wire_dtype="fp32",
)


@pytest.fixture
def probe(make_batch):
    return Probe(make_batch(12))


@pytest.fixture
def arrays(network):
    return pack(network.state_dict(), "fp32")


def loss_on(network, arrays, probe):
    network.load_state_dict(unpack(arrays))
    network.eval()
    batch = probe.batch.to("cpu")
    with torch.no_grad():
        return float(F.cross_entropy(network(batch).logits, batch.labels))


def tuner_of(network, config):
    return ProbeTuner(network, config.run, config.training, config.probe)


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first.values(), second.values(), strict=True))


def test_the_model_learns_what_the_probe_says(network, arrays, probe):
    tuned = tuner_of(network, CONFIG)(1, arrays, probe)
    assert loss_on(network, tuned, probe) < 0.7 * loss_on(network, arrays, probe)


def test_names_order_shapes_and_wire_type_stay(network, arrays, probe):
    tuned = tuner_of(network, CONFIG.changed(wire_dtype="fp16"))(1, arrays, probe)
    assert list(tuned) == list(arrays)
    assert [a.shape for a in tuned.values()] == [a.shape for a in arrays.values()]
    assert {a.dtype for a in tuned.values()} == {"float16"}


def test_seed_and_round_determine_it_and_no_other_random_number(network, arrays, probe):
    tuner = tuner_of(network, CONFIG)
    state = torch.get_rng_state()
    first = unpack(tuner(2, arrays, probe))
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert same(first, unpack(tuner(2, arrays, probe)))
    assert not same(first, unpack(tuner(3, arrays, probe)))
    other = tuner_of(network, CONFIG.changed(seed=1))
    assert not same(first, unpack(other(2, arrays, probe)))


def test_a_smaller_rate_moves_the_model_less(network, arrays, probe):
    before = unpack(arrays)

    def moved(rate):
        config = CONFIG.changed(probe_tuning_rate=rate)
        after = unpack(tuner_of(network, config)(1, arrays, probe))
        return sum(float((after[name] - before[name]).abs().sum()) for name in before)

    assert 0 < moved(0.01) < 0.2 * moved(1.0)


def test_generated_samples_are_shown_like_real_ones(make_batch):
    everything = torch.ones(5, dtype=torch.bool)
    drawn = make_batch(5)
    batch = Batch(
        {name: replace(m, generated=everything) for name, m in drawn.modalities.items()},
        drawn.labels,
    )
    real = as_real(batch)
    for name, values in real.modalities.items():
        assert not values.generated.any()
        assert torch.equal(values.tokens, batch.modalities[name].tokens)
        assert torch.equal(values.present, batch.modalities[name].present)
