import copy

import jinja2
import pytest

from fedmvp_flwr.pretraining.card import model_card

REPORT = {
    "data": {
        "dataset": "folder:/data/bags",
        "split": "public",
        "train": 90,
        "held-out": 10,
        "skipped": 3,
        "hash": "ab12",
        "held-out-hash": "cd34",
        "labels-used": False,
    },
    "training": {"encoder": {"steps": 40, "minutes": 1.26, "loss": 0.12345}},
    "shape": {"image_size": 64, "patch": 8},
    "vocabulary": 300,
    "seed": 7,
    "device": "cpu",
    "versions": {"torch": "2.9"},
    "figures": {
        "encoder": {
            "image-to-text-r5": 0.5,
            "text-to-image-r5": 0.25,
            "chance-r5": 0.05,
            "pairs": 10,
        },
        "captioner": {
            "rouge-l": 0.4,
            "rouge-l-of-another": 0.2,
            "distinct": 1.0,
            "captions": 10,
            "examples": ["a red bag", ""],
        },
        "autoencoder": {"mean-absolute-error": 0.02, "of-the-mean-image": 0.15, "images": 10},
        "generator": {"image-to-text-r5": 0.3, "chance-r5": 0.5, "images": 10},
    },
}


def test_the_card_tells_data_recipe_and_figures():
    card = model_card(REPORT)
    for line in (
        "| source | `folder:/data/bags`, split `public` |",
        "| labels | not used |",
        "| encoder | CLIP's contrastive loss; words from the text tokens | 40 | 1.3 | 0.123 |",
        "| image to text, R@5 of 10 | 50.0% | 5.0% |",
        "| captions: ROUGE-L with the image's text (10) | 0.400 | 0.200 (another image's) |",
        "Shape: image size 64, patch 8. Vocabulary: 300 tokens, byte-level BPE, lower case,",
        "- a red bag",
        "- (empty)",
    ):
        assert f"{line}\n" in card
    assert "Seed 7, device cpu. torch 2.9." in card


def test_labels_that_were_used_are_told():
    report = copy.deepcopy(REPORT)
    report["data"]["labels-used"] = True
    assert "| labels | used as targets |" in model_card(report)


def test_a_report_without_a_figure_makes_no_card():
    report = copy.deepcopy(REPORT)
    del report["figures"]["captioner"]["rouge-l"]
    with pytest.raises(jinja2.UndefinedError, match="rouge-l"):
        model_card(report)
