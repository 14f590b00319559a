import json

import pytest

from fedmvp_flwr.protocol.summary import fallback_threshold, read_summary


def malformed(summary):
    """What is wrong, or nothing."""
    try:
        read_summary(summary)
    except ValueError as error:
        return str(error)
    return None


def test_a_healthy_summary_passes_whole(summary):
    assert read_summary(json.loads(json.dumps(summary))).to_json() == summary


@pytest.mark.parametrize(
    "change",
    [
        {"gate-threshold": -1.0},  # no pair to calibrate it by
        {"gate-threshold": -1},
        {"gate-threshold": 1.0000001},  # a rounded cosine
        {
            "samples": 0,
            "complete": 0,
            "trainable": 0,
            "labels": [0],
            "real": {"image": [0], "text": [0]},
        },
        {"name": "hospital-a"},
    ],
    ids=str,
)
def test_healthy_extremes_pass(summary, change):
    assert malformed(summary | change) is None


@pytest.mark.parametrize("name", ["held-out", "missing", "models", "samples", "hashes"])
def test_what_is_absent_is_named(summary, name):
    del summary[name]
    assert f"({name}: " in malformed(summary)


@pytest.mark.parametrize("value", [None, [], "a", 3])
def test_what_is_no_object_is_refused(value):
    assert "does not fit" in malformed(value)


def test_unknown_fields_are_dropped(summary):
    assert read_summary(summary | {"more": "x" * 10**6}).to_json() == summary


NOT_COUNTS = (-1, 1.5, 2**53, int("9" * 400), float("nan"), True, "5", [5], {})
NAN, INFINITE = float("nan"), float("inf")
COUNTS = {"made": 1, "reused": 0, "rejected": 0}
WRONG = [
    *(("samples", value) for value in NOT_COUNTS),
    *(("complete", value) for value in (*NOT_COUNTS, 6)),
    *(("trainable", value) for value in (*NOT_COUNTS, 6)),
    *(("held-out", value) for value in (*NOT_COUNTS, None)),
    *(("labels", [3, value]) for value in (*NOT_COUNTS, INFINITE, None)),
    ("labels", {"a": 1}),
    *(("real", {"image": [3, 0, value], "text": [0, 0, 0]}) for value in (*NOT_COUNTS, None)),
    ("real", {"image": [1, 0, 1]}),
    ("real", {"image": [1, 0], "text": [3, 0, 2]}),
    ("real", {"image": [1, 1, 1], "text": [3, 0, 2]}),  # more than samples of the class
    ("real", {"smell": [1, 0, 1]}),
    *(("gate-threshold", v) for v in (NAN, INFINITE, -INFINITE, 7.0, -2, int("9" * 400), True)),
    ("gate-threshold", "0.5"),
    *(("seconds", {"features": v}) for v in (NAN, INFINITE, -1.0, int("9" * 400), None, "1")),
    *(("seconds", {"features": 1.0, "completion": v}) for v in (NAN, -1.0)),
    ("seconds", {"completion": 1.0}),
    *(("widths", {"image": [8, value]}) for value in NOT_COUNTS),
    ("widths", {"image": "wide"}),
    *(("missing", {"image": value}) for value in NOT_COUNTS),
    ("missing", {"smell": 1}),
    *(("completions", {"image": COUNTS | {"made": value}}) for value in NOT_COUNTS),
    ("completions", {"image": {"made": 1}}),
    ("completions", {"smell": COUNTS}),
    ("completions", {"image": 3}),
    *(("hashes", {"split": "a", "mask": "b", "keys": v}) for v in (1, None, "xyz", "", "a" * 999)),
    ("hashes", {"split": "a", "mask": "b", "keys": "c", "test-mask": 1}),
    ("hashes", {"split": "a"}),
    ("models", {"image-encoder": {"fingerprint": 5}}),
    ("models", {"image-encoder": "tiny"}),
    ("name", 5),
    ("name", "x" * 10**6),
    ("partition-id", "3"),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda v: str(v)[:30])
def test_values_that_cannot_be_are_named_in_few_words(summary, name, value):
    reason = malformed(summary | {name: value})
    assert name in reason
    assert len(reason) < 300


def test_the_fallback_is_the_median_of_clients_with_pairs(summary):
    own = ((-1.0, 0), (0.2, 3), (0.4, 1), (0.9, 5))
    summaries = [read_summary(summary | {"gate-threshold": t, "complete": c}) for t, c in own]
    assert fallback_threshold(summaries) == 0.4
    assert fallback_threshold(summaries[:1]) == -1.0
