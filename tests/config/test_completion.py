import pytest

from fedmvp_flwr import RunConfig


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("incomplete", "keep", "'mask' or 'drop'"),
        ("quality-gate", 1.0, "less than 1"),
        ("quality-gate", -0.1, "greater than or equal to 0"),
        ("retrieval-source", "others", "'own' or 'public'"),
        ("label-in-prompt", "perhaps", "boolean"),
    ],
)
def test_values_out_of_range_are_refused_by_key(refused, key, value, said):
    assert said in refused(key, value)


def test_the_way_of_completion_goes_by_its_key():
    completion = RunConfig.from_run_config({"completion": "retrieval"}).completion
    assert completion.kind == "retrieval"
    assert completion.model_dump(by_alias=True)["completion"] == "retrieval"
