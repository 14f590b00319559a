"""What a run does beside its rounds: it admits nodes, keeps a journal and the best model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flwr.app import MetricRecord
from flwr.serverapp import Grid

from fedmvp_flwr.aggregation.observer import FinishedRound, RoundObserver, RoundRecord
from fedmvp_flwr.aggregation.replies import Rejection
from fedmvp_flwr.model.evaluation import unflatten_scores
from fedmvp_flwr.protocol.scores import wrong_losses, wrong_scores
from fedmvp_flwr.server.admission import Admission
from fedmvp_flwr.server.best_model import BestModel
from fedmvp_flwr.server.journal import Journal, named
from fedmvp_flwr.server.scoring import Scorer


@dataclass
class RunObserver(RoundObserver):
    """Observes the rounds of a run.

    Attributes:
        admission: of the nodes; what they told is what their replies are checked against.
        journal: is told of everything.
        best: keeps the model of the best round.
        scorer: scores the global model by the server's validation set.
        state: gives what a checkpoint holds besides the arrays.
        last_round: that was finished, here or in the run that is gone on with.
    """

    admission: Admission
    journal: Journal
    best: BestModel
    scorer: Scorer
    state: Callable[[], dict[str, Any]]
    last_round: int

    def admit(self, grid: Grid, node_ids: Sequence[int]) -> Sequence[int]:
        """Those nodes that are ready; the others are asked to prepare."""
        return self.admission(grid, node_ids)

    def may_train(self, client: int) -> bool:
        """Not a client whose samples are all incomplete, where these are dropped."""
        return self.admission.told(client, "trainable") != 0

    def check_training(self, client: int, metrics: MetricRecord) -> str | None:
        """Losses by name, and no more samples than the client was admitted with."""
        # The most it can be: a client without a pair counts all its completions as accepted.
        return wrong_losses(metrics, self.admission.told(client, "trainable"))

    def check_evaluation(self, client: int, metrics: MetricRecord) -> str | None:
        """Scores by name, and no more samples than the client was admitted with."""
        return wrong_scores(metrics, self.admission.told(client, "held-out"))

    def attempt_failed(self, server_round: int, attempt: int, rejected: list[Rejection]) -> None:
        """Into the journal."""
        values = {"round": server_round, "attempt": attempt, "rejected": named(rejected)}
        self.journal.event("round-failed", values)

    def trained(self, record: RoundRecord) -> None:
        """Into the journal."""
        self.journal.round(record)

    def evaluated(
        self, server_round: int, scores: MetricRecord | None, rejected: list[Rejection]
    ) -> None:
        """Into the journal: the scores, and who was left out."""
        if rejected:
            values = {"round": server_round, "rejected": named(rejected)}
            self.journal.event("evaluation-rejected", values)
        if scores is not None:
            found = unflatten_scores(scores)
            self.journal.event("evaluation", {"round": server_round, "where": "clients", **found})

    def finished(self, finished: FinishedRound) -> bool:
        """Keep the best model; whether the run is to end here."""
        self.last_round = finished.server_round
        return self.best.offer(finished, self.scorer.validation_score(finished))

    def checkpoint_metadata(self) -> dict[str, Any]:
        """What is needed to go on with the run."""
        return self.state()
