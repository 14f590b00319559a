import pytest
from pydantic import Field

from fedmvp_flwr.config.section import Section, kebab, one_of


class Some(Section):
    batch_size: int = 3
    kind: str = Field("a", alias="method")


def test_fields_go_by_kebab_case_or_by_a_key_of_their_own():
    assert Some.keys() == ("batch-size", "method") == (kebab("batch_size"), "method")
    some = Some.model_validate({"batch-size": 5, "method": " b "})
    assert (some.batch_size, some.kind) == (5, "b")


@pytest.mark.parametrize("given", [{"batch": 1}, {"batch-size": float("inf")}, {"batch-size": "x"}])
def test_what_is_unknown_or_no_number_is_refused(given):
    with pytest.raises(ValueError, match="batch"):
        Some.model_validate(given)


@pytest.mark.parametrize("value", ["none", "file:/a", "file: a"])
def test_a_word_or_something_behind_a_prefix(value):
    assert one_of(value, ("none",), ("file",)) == value


@pytest.mark.parametrize("value", ["", "nine", "file", "file:", "file: ", "none:x"])
def test_anything_else_names_what_is_allowed(value):
    with pytest.raises(ValueError, match=r"expected none, file:\.\.\."):
        one_of(value, ("none",), ("file",))


def test_the_nearest_is_named():
    with pytest.raises(ValueError, match="did you mean 'file'"):
        one_of("flie:/a", ("none",), ("file",))
