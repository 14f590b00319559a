import pytest

from fedmvp_flwr import RunConfig


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("probe-per-class", 0),
        ("probe-tuning", "sometimes"),
        ("probe-tuning-epochs", 0),
        ("probe-tuning-rate", 0.0),
    ],
)
def test_values_out_of_range_are_refused_by_key(refused, key, value):
    refused(key, value)


@pytest.mark.parametrize(
    ("source", "file"),
    [("generated", ""), ("public", ""), ("file:a/probe.safetensors", "a/probe.safetensors")],
)
def test_where_the_probe_comes_from(source, file):
    assert RunConfig.of(probe_source=source).probe.file == file


@pytest.mark.parametrize("source", ["file:", "file", "generate", "public:split", ""])
def test_a_source_that_there_is_not_is_refused_with_those_that_there_are(refused, source):
    assert "expected generated, public, file:..." in refused("probe-source", source)
