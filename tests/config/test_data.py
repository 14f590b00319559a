import pytest

from fedmvp_flwr import RunConfig


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train-samples", 0),
        ("validation-samples", -1),
        ("test-samples", 0),
        ("train-split", " "),
        ("test-fraction", 0.0),
        ("test-fraction", 1.0),
        ("benchmark-split", "mine"),
        ("data-seed", -1),
        ("captions", "all"),
        ("bad-samples", "ignore"),
    ],
)
def test_values_out_of_range_are_refused_by_key(refused, key, value):
    refused(key, value)


def test_blanks_around_names_do_not_count():
    data = RunConfig.from_run_config({"dataset": " folder:/a b ", "label-column": "kind "}).data
    assert (data.dataset, data.label_column) == ("folder:/a b", "kind")
