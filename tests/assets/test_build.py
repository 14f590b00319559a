import math

import pytest

from fedmvp_assets.build import bank as banks
from fedmvp_assets.build import words
from fedmvp_assets.build.__main__ import STAGES, main
from fedmvp_assets.build.bars import BARS, bar_results
from fedmvp_assets.build.card import model_card
from fedmvp_flwr.data.sources import flora

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def bank(work):
    return banks.load_bank(work, "train", 24, 0)


def test_bank_shows_no_species_and_splits_are_disjoint(bank):
    train, test = (set(banks.combinations(split, 0)) for split in ("train", "test"))
    assert not train & test
    assert not (train | test) & flora.held_out_combinations()
    shown = {(s.colour, s.shape, s.centre, s.count, s.pattern) for s in bank.specs}
    assert shown <= train
    for row, spec in zip(bank.attributes, bank.specs, strict=True):
        values = [options[i] for options, i in zip(banks.ATTRIBUTES.values(), row, strict=True)]
        assert values == [getattr(spec, name) for name in banks.ATTRIBUTES]


def test_bank_is_drawn_once(work, bank):
    files = {p.name: p.stat().st_mtime_ns for p in work.glob("bank-*.npy")}
    again = banks.load_bank(work, "train", 24, 0)
    assert {p.name: p.stat().st_mtime_ns for p in work.glob("bank-*.npy")} == files
    assert again.specs == bank.specs


def test_named_values_reads_synonyms_and_nothing_else():
    text = "a wild flower with five streaked heart-shaped violet petals and a blackish centre"
    assert words.named_values(text, "colour") == {"purple"}
    assert words.named_values(text, "shape") == {"notched"}
    assert words.named_values(text, "count") == {5}
    assert words.named_values(text, "pattern") == {"striped"}
    assert words.named_values(text, "centre") == {"dark"}
    assert words.named_values("a green star-like centre", "centre") == {"starry"}
    assert words.named_values("a flower", "colour") == set()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """All stages with two steps each, on two dozen pictures."""
    work, out = tmp_path_factory.mktemp("small-work"), tmp_path_factory.mktemp("out")
    arguments = ["--work-dir", str(work), "--out", str(out), "--steps", "2", "--pictures", "24"]
    for stage in STAGES[:6]:
        main([*arguments, "--only", stage])
    return arguments, work, out


def test_every_stage_leaves_its_model(built):
    _, work, out = built
    assert {p.name for p in (out / "models").iterdir()} == {"encoder", "captioner", "generator"}
    assert (out / "models" / "encoder" / "open_clip_model.safetensors").is_file()
    assert (out / "models" / "captioner" / "model.safetensors").is_file()
    assert (out / "models" / "generator" / "model_index.json").is_file()
    assert (work / "judge.safetensors").is_file()


def test_bars_and_card(built):
    arguments, _, out = built
    main([*arguments, "--only", "bars", "--only", "card"])
    card = (out / "MODEL_CARD.md").read_text()
    for name in BARS:
        assert name in card
    assert "**missed**" in card  # two steps cannot do it
    assert "Apache-2.0" in card


def test_card_reports_what_was_met_and_missed():
    names = ("colour", "shape", "centre", "count", "pattern")
    shares = dict.fromkeys(names, 0.9)
    metrics = {
        "encoder": {"image-to-text-r5": 0.7, "text-to-image-r5": 0.6, "pairs": 200},
        "captioner": {
            "right-when-named": 0.95,
            "names-three": 1.0,
            "named-per-caption": 4.0,
            "captions-per-second": 20.0,
            "pictures": 9,
            "coarse": shares,
            "detailed": shares,
            "answers": shares,
        },
        "generator": {
            "full-prompts": shares,
            "partial-prompts": shares,
            "images-per-second": 12.0,
            "pictures": 9,
        },
        "judge": {"drawn": shares, "autoencoded": shares, "autoencoder-mean-absolute-error": 0.02},
        "megabytes": {"encoder": 2.0},
        "threads": 2,
    }
    results = bar_results(metrics)
    assert results["colour of generated images"] == (0.9, 0.95)
    card = model_card(metrics)
    assert "| colour of generated images | 95.0% | 90.0% | **missed** |" in card
    assert "| images per second | 10 | 12 | met |" in card
    assert math.isclose(results["captions per second"][0], 20.0)
