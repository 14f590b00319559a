import pytest

from fedmvp_flwr.protocol.summary import read_summary
from fedmvp_flwr.server.summary_check import misfit


def models(image="a" * 64, text="t"):
    return {"image-encoder": {"fingerprint": image}, "text-encoder": {"fingerprint": text}}


@pytest.fixture
def fits(summary):
    def tried(**changes):
        told = read_summary(summary | {"models": models()} | changes)
        return misfit(told, summary["widths"], models(), 3)

    return tried


def test_a_node_like_the_server_fits(fits):
    assert fits() is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"models": models("b" * 64)}, "another image-encoder (bbbbbbbbbbbb, here aaaaaaaaaaaa)"),
        ({"models": models("b", "u")}, "another image-encoder (b, here aaaaaaaaaaaa) and another"),
        ({"models": models(text="u")}, "another text-encoder (u, here t)"),
        ({"widths": {"image": [8, 4], "text": [8, 5]}}, "its frozen encoders are others"),
        ({"labels": [1, 2]}, "it knows 2 classes, this run has 3"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_said(fits, changes, reason):
    assert reason in fits(**changes)
