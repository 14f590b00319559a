import sys
from types import SimpleNamespace

import pytest

from fedmvp_flwr.base.errors import ReportError
from fedmvp_flwr.reporting.tensorboard import TensorBoardSink, scalars

ROUND = {
    "event": "round",
    "round": 4,
    "clients": [0, 3],
    "weights": [0.25, 0.75],
    "similarity": [[1.0, 0.5], [0.5, 1.0]],
    "train": {"loss": 1.5, "margin": None},
    "bytes": {"up": 10, "down": 20},
    "seconds": {"train": 2.0},
    "rejected": [{"client": 1, "reason": "late"}],
}


class Writer:
    made = ()

    def __init__(self, folder):
        self.folder = folder
        self.points = []
        self.closed = False
        Writer.made = (self,)

    def add_scalar(self, tag, value, step):
        self.points.append((tag, value, step))

    def close(self):
        self.closed = True


def test_a_round_becomes_points():
    assert scalars(ROUND) == {
        "train/loss": 1.5,
        "bytes/up": 10.0,
        "bytes/down": 20.0,
        "seconds/train": 2.0,
        "weight/client 0": 0.25,
        "weight/client 3": 0.75,
        "clients/averaged": 2.0,
        "clients/rejected": 1.0,
    }


def test_an_evaluation_becomes_points():
    event = {"event": "evaluation", "round": 2, "where": "clients", "accuracy": {"complete": 0.5}}
    assert scalars(event) == {"accuracy (clients)/complete": 0.5}


@pytest.mark.parametrize("event", [{"event": "phase", "name": "probe"}, {"event": "client"}])
def test_other_events_have_none(event):
    assert scalars(event) == {}


def test_points_are_written_at_their_round(tmp_path, monkeypatch):
    package = SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", package)
    sink = TensorBoardSink(tmp_path)
    sink.write(ROUND)
    sink.write({"event": "phase", "name": "x"})
    sink.close()
    (writer,) = Writer.made
    assert writer.folder == str(tmp_path)
    assert {step for _, _, step in writer.points} == {4}
    assert len(writer.points) == 8
    assert writer.closed


def test_the_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ReportError, match="pip install tensorboard"):
        TensorBoardSink(tmp_path)
