"""Which pairs are compared, under which settings."""

import pytest

from fedmvp_flwr.base.errors import DataError, FedMVPError
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.quality.comparison import run_quality


def test_a_gate_encoder_measures_also_where_no_gate_is_set(apart):
    chosen = apart.changed(gate_encoder="open_clip:embedded")
    numbers = run_quality(chosen, num_samples=24)["coarse"].numbers
    assert numbers["similarity"] == "image-text cosine"
    assert all(row["threshold"] is not None for row in numbers["gate"])
    assert any(0 < row["text-accepted"] < 1 for row in numbers["gate"])


def test_a_run_finds_the_completions_again(both, config):
    again = run_quality(config, num_samples=24)
    assert list(again) == ["coarse"]
    assert again["coarse"].numbers["made"] == {"image": 0, "text": 0}
    assert again["coarse"].rows == both["coarse"].rows


def test_retrieval_takes_from_the_other_pairs(config):
    other = config.changed(completion="retrieval")
    result = run_quality(other, num_samples=12)["retrieval"]
    assert result.numbers["completion"] == "retrieval"
    texts = {pair.sample.text for pair in result.pairs}
    assert all(pair.text in texts for pair in result.pairs)
    assert any(pair.text != pair.sample.text for pair in result.pairs)
    assert result.numbers["overall"]["kid"] < 0.5


def test_the_pairs_of_one_client(config):
    other = config.changed(
        completion="retrieval", missing_pattern="random", missing_ratio=0.5, partition="iid"
    )
    result = run_quality(other, client=1, num_clients=3)["retrieval"]
    dataset = load_dataset(other.data, cache_folder(other.run))
    train = {sample.key for sample in dataset.splits["train"]}
    assert {pair.sample.key for pair in result.pairs} <= train
    assert len(result.pairs) == 10
    with pytest.raises(DataError, match="--client 3"):
        run_quality(other, client=3, num_clients=3)


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({"completion": "none"}, {}, "completion='none'"),
        ({}, {"split": "absent"}, "--split absent"),
        ({}, {"templates": ("no-such",)}, "prompt-template='no-such'"),
    ],
)
def test_what_cannot_be_measured(settings, options, message, config):
    with pytest.raises(FedMVPError, match=message):
        run_quality(config.changed(**settings), num_samples=8, **options)
