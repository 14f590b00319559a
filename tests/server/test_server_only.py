from types import SimpleNamespace

from fedmvp_flwr.server.server_only import train_at_server


class Parts:
    """Tuner, scorer and observer that count what they are asked."""

    def __init__(self, end):
        self.end, self.calls = end, []

    def tune(self, server_round, arrays, probe):
        self.calls.append(("tune", server_round, arrays, probe))
        return arrays + 1

    def evaluate(self, server_round, arrays):
        self.calls.append(("score", server_round, arrays))
        return f"scores of {server_round}"

    def finished(self, finished):
        self.calls.append(("told", finished.server_round, finished.arrays, finished.at_server))
        return finished.server_round == self.end


def run(parts, rounds):
    scorer, observer = (
        SimpleNamespace(evaluate=parts.evaluate),
        SimpleNamespace(finished=parts.finished),
    )
    return train_at_server(parts.tune, scorer, observer, 0, "probe", rounds)


def test_every_round_tunes_scores_and_tells():
    parts = Parts(end=None)
    assert run(parts, 3) == 3
    assert parts.calls[:3] == [
        ("tune", 1, 0, "probe"),
        ("score", 1, 1),
        ("told", 1, 1, "scores of 1"),
    ]
    assert len(parts.calls) == 9


def test_the_observer_may_end_it():
    parts = Parts(end=2)
    assert run(parts, 5) == 2
    assert len(parts.calls) == 6
