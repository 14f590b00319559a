"""The best round's model so far, kept on disk, and when training has gone on long enough."""

from collections.abc import Mapping

import torch

from fedmvp_flwr.aggregation.observer import FinishedRound
from fedmvp_flwr.aggregation.wire import unpack
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.base.tensor_file import load_tensors, save_tensors
from fedmvp_flwr.config.run import RunSettings
from fedmvp_flwr.server.journal import Journal
from fedmvp_flwr.server.selection import Selection

_KEPT = 4  # as many as checkpoints of rounds may still name, and one


class BestModel:
    """Keeps the model of the best round.

    Args:
        settings: how the best round is found, and when training has gone on long enough.
        folder: of the run.
        journal: is told of each score.
        selection: the best round of the run that is gone on with, if any.
    """

    def __init__(
        self, settings: RunSettings, folder: RunFolder, journal: Journal, selection: Selection
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.selection = selection
        self._journal = journal

    @property
    def exhausted(self) -> bool:
        """Whether training has gone on long enough; a run that is gone on with may know it."""
        return self.selection.exhausted(self.settings.early_stopping_patience)

    def offer(self, finished: FinishedRound, score: float | None) -> bool:
        """Take in a round's score, None without one, and keep its model if none was better.

        Returns:
            Whether the run is to end here.
        """
        if score is None:
            return False
        self.selection = self.selection.update(finished.server_round, score)
        best = self.selection.best_round
        self._journal.event(
            "selection",
            {
                "round": finished.server_round,
                "by": self.settings.selected_by,
                "metric": self.settings.selection_metric,
                "score": score,
                "best-round": best or None,
            },
        )
        if best == finished.server_round:
            save_tensors(self.folder.best_file(best), unpack(finished.arrays), {"round": best})
            for old in self.folder.best_files()[:-_KEPT]:
                old.unlink(missing_ok=True)
        return self.exhausted

    def selected(
        self, last_round: int, last: Mapping[str, torch.Tensor]
    ) -> tuple[int, dict[str, torch.Tensor]]:
        """Round and tensors of the model that the run ends with: the best, or the last one."""
        best = self.selection.best_round
        if self.settings.selected_by == "none" or not best:
            return last_round, dict(last)
        return best, load_tensors(self.folder.best_file(best))[0]
