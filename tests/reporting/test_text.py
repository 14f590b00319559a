import pytest

from fedmvp_flwr.reporting import text


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        (text.percent, 0.7125, "71.2%"),
        (text.percent, None, text.DASH),
        (text.count, 1500, "1,500"),
        (text.duration, 12.34, "12.3 s"),
        (text.duration, 185.4, "3 min 05 s"),
        (text.duration, 3599.9, "1 h 00 min"),
        (text.duration, 5400, "1 h 30 min"),
        (text.size, 999, "999 B"),
        (text.size, 1_318_220, "1.32 MB"),
        (text.size, 999_700, "1.00 MB"),
        (text.size, 83_700_000, "83.7 MB"),
        (text.size, 837_000_000, "837 MB"),
        (text.size, 5e15, "5,000 TB"),
        (text.title, "image-only", "Image only"),
        (text.title, "other-one", "Other one"),
    ],
)
def test_format(function, value, expected):
    assert function(value) == expected


def test_plural():
    assert text.plural(1, "client") == "1 client"
    assert text.plural(1200, "client") == "1,200 clients"


def test_points_are_a_difference():
    assert text.points(0.5, 0.5125) == "\N{MINUS SIGN}1.2"
    assert text.points(0.54, 0.5) == "+4.0"
    assert text.points(None, 0.5) == text.points(0.5, None) == text.DASH
