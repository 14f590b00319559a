import hashlib

import pytest

from fedmvp_flwr.base.samples import MODALITIES, ImageRef, Sample, text_digest


class Picture:
    digest = "ab"

    def load(self):
        raise AssertionError("nobody asked for its pixels")


@pytest.mark.parametrize(
    ("image", "text", "there"),
    [(Picture(), "t", (True, True)), (None, "t", (False, True)), (Picture(), None, (True, False))],
)
def test_what_is_there(image, text, there):
    sample = Sample("a", 0, image, text)
    assert tuple(map(sample.has, MODALITIES)) == there
    assert sample.complete == all(there)


def test_an_empty_text_is_a_text():
    assert Sample("a", 0, None, "").has("text")


def test_modalities_are_sorted():
    assert list(MODALITIES) == sorted(MODALITIES)


def test_an_image_is_what_has_a_digest_and_can_be_read():
    assert isinstance(Picture(), ImageRef)
    assert not isinstance("a.png", ImageRef)


def test_the_digest_is_that_of_the_utf_8_bytes():
    assert text_digest("Blüte") == hashlib.sha256("Blüte".encode()).hexdigest()
    assert text_digest("a") != text_digest("a ")
