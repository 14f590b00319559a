"""Where completions may be taken from: nowhere, one's own pairs, or what everyone holds."""

from dataclasses import dataclass

import pytest

from fedmvp_flwr.base.errors import ConfigError, DataError
from fedmvp_flwr.completion.pool import completer_for, completion_pool, takes_public_pairs
from fedmvp_flwr.completion.retrieval import RetrievalCompleter
from fedmvp_flwr.config import RunConfig


def retrieval_pool(own, data, config):
    return completion_pool(config.completion, config.data.public_split, data, own)


@dataclass(frozen=True)
class Data:
    splits: dict


def test_where_clients_and_server_may_take_from(samples):
    data = Data({"train": samples, "test": samples, "public": samples[:2], "bare": samples[1:3]})
    own = RunConfig.of(completion="retrieval")
    assert [s.key for s in retrieval_pool(samples[:4], data, own)] == ["sample-0", "sample-3"]
    assert retrieval_pool((), data, own) == ()
    public = RunConfig.of(completion="retrieval", retrieval_source="public")
    assert [s.key for s in retrieval_pool(samples[3:], data, public)] == ["sample-0"]
    assert retrieval_pool(samples, data, RunConfig.of()) == ()


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("absent", "public-split='absent'.*it has bare, train"),
        ("train", "not public"),
        ("bare", "holds no complete pair"),
    ],
)
def test_wrong_public_splits(split, message, samples):
    data = Data({"train": samples, "bare": samples[1:3]})
    config = RunConfig.of(completion="retrieval", retrieval_source="public", public_split=split)
    with pytest.raises(DataError, match=message):
        retrieval_pool((), data, config)


@pytest.mark.parametrize(
    ("settings", "public"),
    [
        ({"completion": "retrieval", "retrieval_source": "public"}, True),
        ({"completion": "retrieval"}, False),
        ({"retrieval_source": "public"}, False),
    ],
)
def test_public_pairs_are_asked_for_by_retrieval_alone(settings, public):
    assert takes_public_pairs(RunConfig.of(**settings).completion) is public


def test_the_completer_gets_pool_and_seed_of_the_data(samples, shared_models):
    config = RunConfig.of(completion="retrieval", data_seed=5)
    data = Data({"train": samples})
    completer = completer_for(config.completion, config.data, data, shared_models, samples)
    assert isinstance(completer, RetrievalCompleter)
    assert completer.seed == 5
    assert completer.pool == tuple(sample for sample in samples if sample.complete)
    wrong = config.changed(completion="retreival").completion
    with pytest.raises(ConfigError, match="did you mean 'retrieval'"):
        completer_for(wrong, config.data, data, shared_models, samples)
