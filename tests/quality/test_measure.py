"""Held-out pairs of the embedded data, completed by the embedded models and by retrieval."""

import json
import re

import pytest
from PIL import Image

from fedmvp_flwr.base.errors import DataError, FedMVPError
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.completion.pipeline import load_completion
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.quality import distances, measure
from fedmvp_flwr.quality import pairs as quality_pairs
from fedmvp_flwr.quality.comparison import run_quality
from fedmvp_flwr.quality.measure import GATES, held_out
from fedmvp_flwr.quality.page import write_quality


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return RunConfig.of(
        train_samples=60,
        test_samples=40,
        image_generator="diffusers:embedded?steps=2",
        cache_dir=str(tmp_path_factory.mktemp("cache")),
        prompt_template="coarse",
    )


@pytest.fixture(scope="module")
def both(config):
    return run_quality(config, num_samples=24, templates=("coarse", "coarse-to-fine"))


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


@pytest.fixture
def apart(config, tiny_models_module, tmp_path):
    """Encoders that share no space, and no gate."""
    clip = tiny_models_module.build_open_clip(tmp_path / "clip", seed=5)
    return config.changed(image_encoder=f"open_clip:{clip}", quality_gate=0.0)


def test_a_gate_encoder_measures_also_where_no_gate_is_set(apart):
    chosen = apart.changed(gate_encoder="open_clip:embedded")
    numbers = run_quality(chosen, num_samples=24)["coarse"].numbers
    assert numbers["similarity"] == "image-text cosine"
    assert all(row["threshold"] is not None for row in numbers["gate"])
    assert any(0 < row["text-accepted"] < 1 for row in numbers["gate"])


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


def test_a_run_finds_the_completions_again(both, config):
    again = run_quality(config, num_samples=24)
    assert list(again) == ["coarse"]
    assert again["coarse"].numbers["made"] == {"image": 0, "text": 0}
    assert again["coarse"].rows == both["coarse"].rows


def test_the_page_and_the_numbers(both, tmp_path):
    path, page = write_quality(tmp_path / "new", both)
    numbers = json.loads(path.read_text())
    assert numbers["coarse"]["overall"] == both["coarse"].numbers["overall"]
    assert len(numbers["coarse"]["rows"]) == 24
    text = page.read_text()
    assert text.count("data:image/png;base64") == 2 * 2 * 24
    assert "http" not in text.replace("http-equiv", "")
    for word in ("coarse-to-fine", "KID", "ROUGE-L"):
        assert word in text


def test_only_the_pictures_of_the_page_are_kept(both, config, tmp_path, monkeypatch):
    loaded = []

    def load(completer, sample, modality, store):
        loaded.append((sample.key, modality))
        return load_completion(completer, sample, modality, store)

    monkeypatch.setattr(quality_pairs, "load_completion", load)
    monkeypatch.setattr(quality_pairs, "THUMBNAIL", 20)
    monkeypatch.setattr(measure, "SHOWN", 5)
    result = run_quality(config, num_samples=24)["coarse"]
    assert result.rows == both["coarse"].rows
    assert result.numbers["overall"] == both["coarse"].numbers["overall"]
    first = both["coarse"].pairs[:5]
    assert [(p.sample.key, p.text) for p in result.pairs] == [(p.sample.key, p.text) for p in first]
    assert [pair.image.size for pair in result.pairs] == [(20, 20)] * 5
    images = [key for key, modality in loaded if modality == "image"]
    assert images == [pair.sample.key for pair in first], "the others are not decoded"
    _, page = write_quality(tmp_path, {"coarse": result})
    assert page.read_text().count("data:image/png;base64") == 2 * 5
    assert "The first 5 pairs" in page.read_text()


def test_the_page_shows_24_pairs_of_more(config, tmp_path):
    other = config.changed(completion="retrieval")
    result = run_quality(other, num_samples=30)["retrieval"]
    assert (len(result.rows), len(result.pairs)) == (30, 24)
    assert [row["key"] for row in result.rows[:24]] == [p.sample.key for p in result.pairs]
    write_quality(tmp_path, {"retrieval": result})
    assert "The first 24 pairs" in (tmp_path / "quality.html").read_text()


def test_a_thumbnail_is_no_larger_for_being_made_twice():
    noise = Image.effect_noise((500, 300), 90)
    once = quality_pairs.thumbnail(noise)
    assert (once.mode, once.size) == ("RGB", (160, 96))
    assert quality_pairs.thumbnail(once).tobytes() == once.tobytes()


def test_a_page_trusts_no_text(config, both, tmp_path):
    from dataclasses import replace

    result = both["coarse"]
    evil = "<script>alert(1)</script>"
    pairs = tuple(replace(pair, text=evil) for pair in result.pairs)
    _, page = write_quality(tmp_path, {evil: replace(result, pairs=pairs)})
    assert "<script>" not in page.read_text()


def by_class(page):
    """Cells of the table by class, by the title of the column."""
    table = page.read_text().split("<h3>By class</h3>")[1].split("</table>")[0]
    rows = [re.findall(r"<t[dh][^>]*>([^<]*)<", row) for row in table.split("<tr>")[1:]]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def test_images_of_a_class_are_measured_where_it_has_enough_pairs(config, tmp_path, monkeypatch):
    monkeypatch.setattr(distances, "LEAST_FOR_KID", 2)
    monkeypatch.setattr(distances, "LEAST_FOR_FRECHET", 4)
    other = config.changed(completion="retrieval")
    results = run_quality(other, num_samples=30)
    path, page = write_quality(tmp_path, results)
    classes = json.loads(path.read_text())["retrieval"]["per-class"]
    pairs = {group["pairs"] for group in classes.values()}
    assert {1, 2} <= pairs
    rows = {row["class"]: row for row in by_class(page)}
    assert set(rows) == set(classes)
    for name, group in classes.items():
        for key, title, least in (
            ("kid", "KID of made to true images", 2),
            ("frechet", "Fréchet distance of made to true images", 4),
            ("frechet-of-real", "Fréchet distance among true images", 4),
        ):
            assert (group[key] is None) == (group["pairs"] < least)
            shown = "\N{EN DASH}" if group[key] is None else f"{group[key]:.3g}"
            assert rows[name][title] == shown


def test_few_pairs_of_a_class_are_not_measured(both, tmp_path):
    result = both["coarse"]
    for group in result.numbers["per-class"].values():
        assert group["kid"] is group["frechet"] is group["frechet-of-real"] is None
        assert group["rouge-l"] is not None
    _, page = write_quality(tmp_path, {"coarse": result})
    text = " ".join(page.read_text().split())
    assert "KID is told from 10 pairs on and the Fréchet distance from 20" in text
    assert {row["KID of made to true images"] for row in by_class(page)} == {"\N{EN DASH}"}


def test_retrieval_takes_from_the_other_pairs(config):
    other = config.changed(completion="retrieval")
    result = run_quality(other, num_samples=12)["retrieval"]
    assert result.numbers["completion"] == "retrieval"
    texts = {pair.sample.text for pair in result.pairs}
    assert all(pair.text in texts for pair in result.pairs)
    assert any(pair.text != pair.sample.text for pair in result.pairs)
    assert result.numbers["overall"]["kid"] < 0.5


def test_the_pairs_of_one_client(config):
    other = config.changed(completion="retrieval", missing_ratio=0.5, partition="iid")
    result = run_quality(other, client=1, num_clients=3)["retrieval"]
    dataset = load_dataset(other.data, cache_folder(other.run))
    train = {sample.key for sample in dataset.splits["train"]}
    assert {pair.sample.key for pair in result.pairs} <= train
    assert len(result.pairs) == 10
    with pytest.raises(DataError, match="--client 3"):
        run_quality(other, client=3, num_clients=3)


def test_choice_of_pairs():
    samples = [Sample(str(i), 0, None if i % 2 else object(), "text") for i in range(20)]
    chosen = held_out(samples, 5, seed=1)
    assert chosen == held_out(samples, 5, seed=1) != held_out(samples, 5, seed=2)
    assert all(sample.complete for sample in chosen)
    assert len(held_out(samples, 50, seed=1)) == 10
    with pytest.raises(DataError, match="at least 4"):
        held_out(samples[:6], 50, seed=1)


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
