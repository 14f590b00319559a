import pytest

from fedmvp_flwr.comparison.methods import METHODS, QUESTION, REFERENCE
from fedmvp_flwr.config import RunConfig


@pytest.mark.parametrize("name", METHODS)
def test_each_method_is_a_run_config(name):
    method = METHODS[name]
    config = RunConfig.from_run_config(dict(method.settings))
    assert (config.completion.kind != "none") == method.completes
    assert (config.missing.missing_ratio == 0) == method.whole
    assert ("probe" in method.labels) == config.tunes_on_probe or name == "fedmvp-paper"


def test_no_two_methods_are_the_same():
    configs = [
        RunConfig.from_run_config(dict(m.settings)).to_run_config() for m in METHODS.values()
    ]
    assert all(a != b for i, a in enumerate(configs) for b in configs[:i])


def test_the_question_has_a_reference_a_rival_and_an_upper_bound():
    assert REFERENCE in QUESTION
    assert any(not METHODS[n].completes and not METHODS[n].whole for n in QUESTION)
    assert any(METHODS[n].whole for n in QUESTION)
