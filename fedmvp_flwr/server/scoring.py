"""How good the global model is: on the server's own samples, or as the clients said."""

from pathlib import Path

from flwr.app import ArrayRecord, MetricRecord

from fedmvp_flwr.aggregation.rounds import FinishedRound
from fedmvp_flwr.aggregation.wire import unpack
from fedmvp_flwr.base.jsonl import read_events
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.completion.gating import conditions
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.model.evaluation import (
    Conditions,
    NestedScores,
    evaluate_conditions,
    flatten_scores,
)
from fedmvp_flwr.model.network import FedMVPNetwork
from fedmvp_flwr.server.data import ServerData
from fedmvp_flwr.server.journal import Journal

_SERVER, _CLIENTS = "server", "clients"


class Scorer:
    """Scores the global model where the run's settings want it.

    Args:
        config: the run's settings.
        network: takes the arrays to score.
        data: the server's prepared samples.
        threshold: of the gate, for completions of the test set.
        journal: is told of each evaluation at the server.
    """

    def __init__(
        self,
        config: RunConfig,
        network: FedMVPNetwork,
        data: ServerData,
        threshold: float,
        journal: Journal,
    ) -> None:
        self.config = config
        self.network = network
        self.num_classes = data.num_classes
        self.has_test = len(data.test) > 0
        self._journal = journal
        self._test = conditions(data.test, threshold, config)
        self._validation = Conditions(conditions(data.validation, threshold, config).plain, {})

    def evaluate(self, server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
        """Score the arrays on the server's test set, in the rounds that are evaluated."""
        if not self.has_test or not self._is_due(server_round):
            return None
        self.network.load_state_dict(unpack(arrays))
        return MetricRecord(dict(flatten_scores(self._score(server_round))))

    def validation_score(self, finished: FinishedRound) -> float | None:
        """The score by which a round's model is selected; None where there is none."""
        config = self.config
        if config.run.selected_by == "clients":
            value = dict(finished.at_clients or {}).get(config.run.selection_metric)
            return float(value) if isinstance(value, int | float) else None
        if config.run.selected_by == "none" or not self._is_due(finished.server_round):
            return None
        self.network.load_state_dict(unpack(finished.arrays))
        scores = evaluate_conditions(self.network, self._validation, self.num_classes)
        return flatten_scores(scores)[config.run.selection_metric]

    def of_selected(self, server_round: int, out: RunFolder) -> NestedScores:
        """The scores of the round whose model the network holds: the server's, or the clients'.

        What the history has is taken from there, so that it has each evaluation once: the round may
        have been scored long ago, or by the run that this one goes on with.
        """
        where = _SERVER if self.has_test else _CLIENTS
        found = recorded_scores(out.metrics, where, server_round)
        return self._score(server_round) if self.has_test and not found else found

    def _is_due(self, server_round: int) -> bool:
        last = server_round == self.config.run.num_server_rounds
        return last or server_round % self.config.run.evaluate_every == 0

    def _score(self, server_round: int) -> NestedScores:
        scores = evaluate_conditions(self.network, self._test, self.num_classes)
        self._journal.event("evaluation", {"round": server_round, "where": _SERVER, **scores})
        return scores


def recorded_scores(history: Path, where: str, server_round: int) -> NestedScores:
    """The scores of a round at the server or the clients, also where an interrupted run had them.

    Empty if there are none.
    """
    found: NestedScores = {}
    for event in read_events(history):
        kind = (event.get("event"), event.get("where"), event.get("round"))
        if kind == ("evaluation", where, server_round):
            found = {name: v for name, v in event.items() if isinstance(v, dict)}
    return found
