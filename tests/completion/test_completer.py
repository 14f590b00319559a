"""What every way of completion has: a pool in order, names where they may be told, a gate."""

from dataclasses import dataclass

import pytest

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.base.samples import text_digest
from fedmvp_flwr.completion.completer import Completer, NoCompleter
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.models import ModelSettings


@dataclass
class Models:
    comparable: bool
    settings: ModelSettings


class Judged(Completer):
    own_measure = "a measure of its own"


def settings_of(**options):
    return RunConfig.of(**options).completion


def test_the_pool_is_in_the_order_of_keys_and_complete(samples):
    pool = Completer(None, settings_of(), pool=samples[::-1]).pool
    assert [sample.key for sample in pool] == sorted(s.key for s in samples if s.complete)
    assert pool == Completer(None, settings_of(), pool=[*samples, samples[0]]).pool


def test_digests_of_the_pool_are_those_of_its_contents(samples):
    completer = Completer(None, settings_of(), pool=samples)
    assert completer.pool_digests == {
        "image": [sample.image.digest for sample in completer.pool],
        "text": [text_digest(sample.text) for sample in completer.pool],
    }


def test_a_class_name_is_told_only_where_the_setting_and_the_caller_say_so(samples):
    names = ("rose", "lily")
    told, untold = (Completer(None, settings_of(label_in_prompt=on)) for on in (True, False))
    assert told.class_name(samples[1], names) == "lily"
    assert told.class_name(samples[1], ()) is None
    assert untold.class_name(samples[1], names) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quality_gate": 0.1}, "quality-gate=0.1.*image-encoder='open_clip:embedded'"),
        (
            {"gate_encoder": "transformers:/vit"},
            "gate-encoder='transformers:/vit' share no embedding",
        ),
    ],
)
def test_a_gate_that_could_measure_nothing_is_refused(settings, message):
    apart = Models(False, ModelSettings())
    with pytest.raises(ModelError, match=message):
        Completer.check_gate(apart, settings_of(**settings))


@pytest.mark.parametrize(
    ("way", "comparable", "gate"),
    [
        (Completer, True, 0.1),
        (Completer, False, 0),
        (Judged, False, 0.1),
        (NoCompleter, False, 1e-3),
    ],
)
def test_a_gate_that_measures_or_is_not_needed_is_not(way, comparable, gate):
    way.check_gate(Models(comparable, ModelSettings()), settings_of(quality_gate=gate))
