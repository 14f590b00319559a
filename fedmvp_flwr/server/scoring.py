"""How good the global model is: on the server's own samples, or as the clients said."""

from pathlib import Path

from flwr.app import ArrayRecord, MetricRecord
from torch import Tensor

from fedmvp_flwr.aggregation.observer import FinishedRound
from fedmvp_flwr.aggregation.options import is_evaluated
from fedmvp_flwr.aggregation.wire import unpack
from fedmvp_flwr.base.jsonl import read_events
from fedmvp_flwr.config.run import RunSettings
from fedmvp_flwr.model.evaluation import (
    Conditions,
    NestedScores,
    evaluate_conditions,
    flatten_scores,
    predicted_classes,
)
from fedmvp_flwr.model.network import FedMVPNetwork
from fedmvp_flwr.server.journal import Journal


class Scorer:
    """Scores the global model where the run's settings want it.

    Args:
        settings: when to evaluate, and by what the best round is found.
        network: takes the arrays to score.
        test: the server's test set; None where there is none.
        validation: the server's validation set, perhaps empty.
        journal: is told of each evaluation at the server.
    """

    def __init__(
        self,
        settings: RunSettings,
        network: FedMVPNetwork,
        test: Conditions | None,
        validation: Conditions,
        journal: Journal,
    ) -> None:
        self.settings = settings
        self.network = network
        self.scores_from = "server" if test else "clients"
        self._journal = journal
        self._test = test
        self._validation = Conditions(validation.plain, {})

    def evaluate(self, server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
        """Score the arrays on the server's test set, in the rounds that are evaluated."""
        if not self._test or not self._is_due(server_round):
            return None
        self.network.load_state_dict(unpack(arrays))
        return MetricRecord(dict(flatten_scores(self._score(server_round, self._test))))

    def validation_score(self, finished: FinishedRound) -> float | None:
        """The score by which a round's model is selected; None where there is none."""
        settings = self.settings
        if settings.selected_by == "clients":
            value = dict(finished.at_clients or {}).get(settings.selection_metric)
            return float(value) if isinstance(value, int | float) else None
        if settings.selected_by == "none" or not self._is_due(finished.server_round):
            return None
        self.network.load_state_dict(unpack(finished.arrays))
        scores = evaluate_conditions(self.network, self._validation)
        return flatten_scores(scores)[settings.selection_metric]

    def of_selected(self, server_round: int, history: Path) -> NestedScores:
        """The scores of the round whose model the network holds: the server's, or the clients'.

        What the history has is taken from there, so that it has each evaluation once: the round may
        have been scored long ago, or by the run that this one goes on with.
        """
        found = recorded_scores(history, self.scores_from, server_round)
        return self._score(server_round, self._test) if self._test and not found else found

    def predictions(self) -> dict[str, Tensor]:
        """Class indices by condition, predicted and `.true`, on the server's test set."""
        found = {}
        for name, batch in (self._test.plain if self._test else {}).items():
            if len(batch):
                found[name] = predicted_classes(self.network, batch)
                found[f"{name}.true"] = batch.labels.clone()
        return found

    def _is_due(self, server_round: int) -> bool:
        settings = self.settings
        return is_evaluated(server_round, settings.evaluate_every, settings.num_server_rounds)

    def _score(self, server_round: int, test: Conditions) -> NestedScores:
        scores = evaluate_conditions(self.network, test)
        self._journal.event("evaluation", {"round": server_round, "where": "server", **scores})
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
