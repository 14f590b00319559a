"""What samples ask for, and what becomes of it where nothing can be done."""

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import Sample, text_digest
from fedmvp_flwr.completion.completer import Completer, NoCompleter, Wanted
from fedmvp_flwr.completion.requests import Request, all_sides, holes
from fedmvp_flwr.config import RunConfig

SETTINGS = RunConfig.of(label_in_prompt=True).completion


class Named(Completer):
    """Keys that tell what they were made from; images cannot be completed."""

    def key(self, modality, digest, class_name, sample_key):
        return f"{digest} {class_name} {sample_key}" if modality == "text" else None


@pytest.fixture
def completer():
    return Named(None, SETTINGS)


def test_training_samples_ask_for_what_is_missing(samples):
    asked = holes(samples[:4])
    assert asked == {"image": [False, False, True, False], "text": [False, True, False, False]}


def test_test_samples_ask_for_each_side_from_the_other(samples):
    bare = Sample("bare", 0, None, None)
    asked = all_sides([*samples[:3], bare])
    assert asked == {"image": [True, False, True, False], "text": [True, True, False, False]}


def test_what_is_wanted_is_told_by_key_and_source(samples, completer):
    request = Request(samples[:2], {"text": [False, True]}, completer, ("rose", "lily"))
    digest = samples[1].image.digest
    wanted = Wanted(f"{digest} lily sample-1", digest, "lily", "sample-1")
    assert request.wanted == {"image": [None, None], "text": [None, wanted]}
    assert request.digests["text"] == [text_digest(samples[0].text), None]


def test_no_class_name_is_told_of_test_data(samples, completer):
    (item,) = Request(samples[1:2], {"text": [True]}, completer).wanted["text"]
    assert item.class_name is None


def test_what_cannot_be_completed_stays_as_it_is(samples, completer):
    assert Request(samples[2:3], {"image": [True]}, completer).wanted["image"] == [None]
    nothing = NoCompleter(None, SETTINGS)
    request = Request(samples, holes(samples), nothing)
    assert not any(item for items in request.wanted.values() for item in items)


def test_nothing_to_complete_from(completer):
    request = Request([Sample("bare", 0, None, None)], {"text": [True]}, completer)
    with pytest.raises(DataError, match=r"'bare': its text cannot be completed.*no image either"):
        _ = request.wanted
