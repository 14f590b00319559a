"""A run that may begin: its settings are checked and its folder is free."""

from dataclasses import dataclass

from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.server.journal import Journal
from fedmvp_flwr.server.resume import ResumePoint, RunState

MIN_CLIENTS = 2  # of a round: a federation of one is none


@dataclass(frozen=True)
class OpenedRun:
    """A run before its first message.

    Attributes:
        config: its settings.
        folder: of its results.
        point: the finished round to go on from, None for a new run.
        journal: is told of everything.
    """

    config: RunConfig
    folder: RunFolder
    point: ResumePoint | None
    journal: Journal

    @property
    def state(self) -> RunState | None:
        """What belongs to the round that is gone on from."""
        return self.point.state if self.point else None

    @property
    def rounds_before(self) -> int:
        """How many rounds were finished before."""
        return self.point.server_round if self.point else 0

    @property
    def min_nodes(self) -> int:
        """Nodes that must be connected before a round."""
        return max(self.config.run.min_nodes, MIN_CLIENTS)
