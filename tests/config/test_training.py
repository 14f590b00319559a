import pytest

from fedmvp_flwr import RunConfig


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("local-epochs", 0),
        ("batch-size", 0),
        ("learning-rate", 0.0),
        ("learning-rate", float("inf")),
        ("weight-decay", -0.1),
        ("model-width", 4),
        ("model-layers", 0),
        ("model-heads", 0),
        ("model-dropout", 1.0),
    ],
)
def test_values_out_of_range_are_refused_by_key(refused, key, value):
    refused(key, value)


def test_the_heads_divide_the_width(refused):
    assert "model-heads=3 does not divide model-width=128" in refused("model-heads", 3)
    assert RunConfig.of(model_heads=3, model_width=96).training.model_heads == 3
