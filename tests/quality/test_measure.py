"""Held-out pairs of the embedded data, completed by the embedded models and by retrieval."""

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.quality.comparison import run_quality
from fedmvp_flwr.quality.measure import GATES, held_out
from fedmvp_flwr.quality.page import write_quality


def test_every_pair_is_measured_under_every_template(both, config):
    assert list(both) == ["coarse", "coarse-to-fine"]
    names = load_dataset(config.data, cache_folder(config.run)).class_names
    for result in both.values():
        numbers = result.numbers
        assert numbers["pairs"] == len(result.rows) == len(result.pairs) == 24
        assert sum(group["pairs"] for group in numbers["per-class"].values()) == 24
        assert set(numbers["per-class"]) <= set(names)
        for row, pair in zip(result.rows, result.pairs, strict=True):
            assert row["key"] == pair.sample.key
            assert pair.image is not None
            assert pair.text is not None
            assert 0 <= row["rouge-l"] <= 1
            assert -1 <= row["image-similarity"] <= 1.001
    assert both["coarse"].rows != both["coarse-to-fine"].rows


def test_means_are_those_of_the_rows(both):
    result = both["coarse"]
    mean = sum(row["rouge-l"] for row in result.rows) / len(result.rows)
    assert result.numbers["overall"]["rouge-l"] == pytest.approx(mean)
    judged = [row["text-agrees"] for row in result.rows if row["text-agrees"] is not None]
    assert 0 < len(judged) < len(result.rows)  # some classes have one pair alone
    assert result.numbers["overall"]["text-agrees"] == pytest.approx(sum(judged) / len(judged))
    assert result.numbers["overall"]["frechet"] > 0


def test_a_stricter_gate_lets_less_through(both):
    gates = both["coarse"].numbers["gate"]
    assert [row["quality-gate"] for row in gates] == list(GATES)
    assert gates[0]["image-accepted"] == gates[0]["text-accepted"] == 1
    for name in ("image", "text"):
        shares = [row[f"{name}-accepted"] for row in gates]
        assert shares == sorted(shares, reverse=True)


def test_without_a_common_space_the_gates_table_is_empty(apart, tmp_path):
    results = run_quality(apart, num_samples=24)
    numbers = results["coarse"].numbers
    assert numbers["similarity"] == "not measured"
    first, *others = numbers["gate"]
    assert first["image-accepted"] == first["text-accepted"] == 1
    for row in others:
        assert row.keys() == first.keys()
        assert {value for key, value in row.items() if key != "quality-gate"} == {None}
    write_quality(tmp_path / "new", results)


def test_choice_of_pairs():
    samples = [Sample(str(i), 0, None if i % 2 else object(), "text") for i in range(20)]
    chosen = held_out(samples, 5, seed=1)
    assert chosen == held_out(samples, 5, seed=1) != held_out(samples, 5, seed=2)
    assert all(sample.complete for sample in chosen)
    assert len(held_out(samples, 50, seed=1)) == 10
    with pytest.raises(DataError, match="at least 4"):
        held_out(samples[:6], 50, seed=1)
