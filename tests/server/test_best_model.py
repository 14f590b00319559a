import pytest
import torch

from fedmvp_flwr import RunConfig
from fedmvp_flwr.aggregation.observer import FinishedRound
from fedmvp_flwr.aggregation.wire import pack
from fedmvp_flwr.base.jsonl import read_events
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.server.best_model import BestModel
from fedmvp_flwr.server.journal import Journal
from fedmvp_flwr.server.selection import Selection


@pytest.fixture
def best(tmp_path):
    def make(**settings):
        config, folder = RunConfig.of(**settings), RunFolder(tmp_path)
        return BestModel(config.run, folder, Journal(config, folder), Selection())

    return make


def offer(best, scores):
    """Rounds of these scores, whose arrays hold the number of the round."""
    for number, score in enumerate(scores, start=1):
        arrays = pack({"w": torch.full((2,), float(number))}, "fp32")
        if best.offer(FinishedRound(number, arrays, None, None), score):
            return number
    return None


LAST = {"w": torch.zeros(2)}


def test_the_best_model_is_given_back(best):
    kept = best(selection="server")
    assert offer(kept, [0.1, 0.7, None, 0.5]) is None
    number, tensors = kept.selected(4, LAST)
    assert number == 2
    assert torch.equal(tensors["w"], torch.full((2,), 2.0))


def test_without_a_score_it_is_the_last_one(best):
    kept = best(selection="server")
    offer(kept, [None, None])
    assert kept.selected(2, LAST) == (2, LAST)
    assert best().selected(2, LAST) == (2, LAST)


def test_few_files_stay_and_each_score_is_told(best):
    kept = best(selection="server")
    offer(kept, [n / 10 for n in range(8)])
    assert [path.name for path in kept.folder.best_files()] == [
        f"best-0000{n}.safetensors" for n in (5, 6, 7, 8)
    ]
    events = read_events(kept.folder.metrics)
    assert [(e["round"], e["best-round"]) for e in events] == [(n, n) for n in range(1, 9)]


def test_it_ends_the_run_when_nothing_gets_better(best):
    kept = best(selection="server", early_stopping_patience=2)
    assert offer(kept, [0.5, 0.4, None, 0.5, 0.9]) == 4
    assert kept.exhausted
