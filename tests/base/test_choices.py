from dataclasses import dataclass

import pytest

from fedmvp_flwr.base.choices import SMALLEST, Value, choose, number, share, text
from fedmvp_flwr.base.errors import ConfigError


@dataclass(frozen=True)
class Way:
    value: Value | None = None


WAYS = {
    "plain": Way(),
    "file": Way(Value("a path", text)),
    "scaled": Way(Value("a number that is not below 1", number(float, 1), default=2.0)),
}


@pytest.mark.parametrize(
    ("setting", "name", "value"),
    [("plain", "plain", None), ("file:a:b", "file", "a:b"), ("scaled", "scaled", 2.0),
     ("scaled:3", "scaled", 3.0)],
)  # fmt: skip
def test_a_name_and_what_follows_it(setting, name, value):
    assert choose("key", setting, WAYS) == (WAYS[name], value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("plian", r"key='plian': expected file:\.\.\., plain, scaled:\.\.\..*did you mean 'plain'"),
        ("plain:3", "expected 'plain' alone"),
        ("file", "expected 'file:' and a path"),
        ("file: ", "expected 'file:' and a path"),
        ("scaled:x", "expected 'scaled:' and a number that is not below 1"),
        ("scaled:0.5", "not below 1"),
    ],
)
def test_anything_else_says_what_is_expected(setting, message):
    with pytest.raises(ConfigError, match=message):
        choose("key", setting, WAYS)


READ = {
    "above": Way(Value("a number above 0", number(float, SMALLEST))),
    "whole": Way(Value("a whole number", number(int, 0))),
    "part": Way(Value("a share", share)),
}


@pytest.mark.parametrize(
    "setting",
    [
        *(f"above:{value}" for value in ("nan", "inf", "-1", "", "0")),
        *(f"whole:{value}" for value in ("-1", "2.5", "x")),
        *(f"part:{value}" for value in ("1", "-0.1", "nan", "x")),
    ],
)
def test_numbers_out_of_their_range_are_refused(setting):
    with pytest.raises(ConfigError, match=f"expected '{setting.partition(':')[0]}:' and a"):
        choose("key", setting, READ)


@pytest.mark.parametrize(
    ("setting", "value"), [("above:0.5", 0.5), ("whole:3", 3), ("part:0", 0.0), ("part:0.25", 0.25)]
)
def test_numbers_in_their_range_are_read(setting, value):
    assert choose("key", setting, READ)[1] == value
