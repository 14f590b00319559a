import json

import pytest
from PIL import Image

from fedmvp_flwr.base.errors import ReportError
from fedmvp_flwr.reporting.run_record import RunRecord
from fedmvp_flwr.reporting.sections.completions import build

ROW = {
    "class-name": "a rose",
    "source": "text",
    "original-image": "0.png",
    "original-text": "red",
    "generated-image": "0-made.png",
    "generated-text": None,
    "similarity": 0.314,
    "accepted": True,
}


@pytest.fixture
def cards(tmp_path):
    folder = tmp_path / "completions"
    folder.mkdir()
    Image.new("RGB", (8, 8), "red").save(folder / "0.png")
    Image.new("RGB", (300, 200), "blue").save(folder / "0-made.png")

    def build_from(*rows):
        (folder / "index.json").write_text(json.dumps({"completions": rows}))
        return build(RunRecord(), tmp_path)

    return build_from


def test_an_image_that_was_made(cards):
    (card,) = cards(ROW)
    assert (card.class_name, card.filled, card.similarity) == ("a rose", "image", "0.31")
    assert card.original_image.startswith("data:image/png;base64,")
    assert card.made_image.startswith("data:image/jpeg;base64,")  # a photograph takes less so
    assert card.made_text == ""


def test_a_text_that_was_made(cards):
    changes = {"source": "image", "generated-image": None, "generated-text": "a\x07 bell" * 900}
    (card,) = cards(ROW | changes)
    assert card.filled == "text"
    assert card.made_image is None
    assert len(card.made_text) == 600
    assert "\x07" not in card.made_text


@pytest.mark.parametrize("name", ["../0.png", "none.png", "", None])
def test_a_picture_that_is_not_there_is_left_out(cards, name):
    assert cards(ROW | {"original-image": name})[0].original_image is None


def test_twelve_are_enough(cards):
    assert len(cards(*[ROW] * 20)) == 12


def test_no_completions(tmp_path):
    assert build(RunRecord(), tmp_path) == []


def test_a_damaged_index_is_named(cards, tmp_path):
    cards(ROW)
    (tmp_path / "completions" / "index.json").write_text("{")
    with pytest.raises(ReportError, match=r"index\.json"):
        build(RunRecord(), tmp_path)
