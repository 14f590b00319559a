"""What a run does beside its rounds: it admits nodes, keeps a journal and the best model."""

from collections.abc import Sequence
from typing import Any

from flwr.app import MetricRecord
from flwr.serverapp import Grid

from fedmvp_flwr.aggregation.observer import FinishedRound, RoundObserver, RoundRecord
from fedmvp_flwr.aggregation.replies import Rejection
from fedmvp_flwr.model.evaluation import unflatten_scores
from fedmvp_flwr.protocol.scores import wrong_losses, wrong_scores
from fedmvp_flwr.server.best_model import BestModel
from fedmvp_flwr.server.journal import named
from fedmvp_flwr.server.opened_run import OpenedRun
from fedmvp_flwr.server.preparation import PreparedRun
from fedmvp_flwr.server.resume import RunState, history_mark
from fedmvp_flwr.server.scoring import Scorer
from fedmvp_flwr.server.selection import Selection


class RunObserver(RoundObserver):
    """Observes the rounds of a run.

    Args:
        run: its journal is told of everything.
        prepared: its admission knows what replies are checked against.
        scorer: scores the global model by the server's validation set.
    """

    def __init__(self, run: OpenedRun, prepared: PreparedRun, scorer: Scorer) -> None:
        self.last_round = run.rounds_before
        before = run.state.selection if run.state else Selection()
        self.best = BestModel(run.config.run, run.folder, run.journal, before)
        self._run = run
        self._prepared = prepared
        self._scorer = scorer

    def admit(self, grid: Grid, node_ids: Sequence[int]) -> Sequence[int]:
        """Those nodes that are ready; the others are asked to prepare."""
        return self._prepared.admission.admit(grid, node_ids)

    def may_train(self, client: int) -> bool:
        """Not a client whose samples are all incomplete, where these are dropped."""
        told = self._prepared.admission.told(client)
        return told is None or told.trainable > 0

    def check_training(self, client: int, metrics: MetricRecord) -> str | None:
        """Losses by name, and no more samples than the client was admitted with."""
        # The most it can be: a client without a pair counts all its completions as accepted.
        told = self._prepared.admission.told(client)
        return wrong_losses(metrics, told.trainable if told else None)

    def check_evaluation(self, client: int, metrics: MetricRecord) -> str | None:
        """Scores by name, and no more samples than the client was admitted with."""
        told = self._prepared.admission.told(client)
        return wrong_scores(metrics, told.held_out if told else None)

    def attempt_failed(self, server_round: int, attempt: int, rejected: list[Rejection]) -> None:
        """Into the journal."""
        values = {"round": server_round, "attempt": attempt, "rejected": named(rejected)}
        self._run.journal.event("round-failed", values)

    def trained(self, record: RoundRecord) -> None:
        """Into the journal."""
        self._run.journal.round(record)

    def evaluated(
        self, server_round: int, scores: MetricRecord | None, rejected: list[Rejection]
    ) -> None:
        """Into the journal: the scores, and who was left out."""
        if rejected:
            values = {"round": server_round, "rejected": named(rejected)}
            self._run.journal.event("evaluation-rejected", values)
        if scores is not None:
            values = {"round": server_round, "where": "clients", **unflatten_scores(scores)}
            self._run.journal.event("evaluation", values)

    def finished(self, finished: FinishedRound) -> bool:
        """Keep the best model; whether the run is to end here."""
        self.last_round = finished.server_round
        return self.best.offer(finished, self._scorer.validation_score(finished))

    def checkpoint_metadata(self) -> dict[str, Any]:
        """What is needed to go on with the run."""
        run, prepared = self._run, self._prepared
        size, digest = history_mark(run.folder.metrics)
        return RunState(
            config=run.config.to_run_config(),
            class_names=list(prepared.data.class_names),
            probe=prepared.probe_hash,
            models=prepared.encoders,
            threshold=prepared.threshold,
            counts=prepared.counts,
            history_bytes=size,
            history_hash=digest,
            bytes=run.journal.bytes,
            seconds=run.journal.all_seconds(),
            selection=self.best.selection,
            names=prepared.admission.nodes.names,
            clients=len(prepared.admission.summaries),
            data=prepared.admission.data_hashes(),
        ).model_dump()
