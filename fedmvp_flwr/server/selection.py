"""Which round's model is kept, and when training has gone on long enough."""

import math

from pydantic import BaseModel, ConfigDict


class Selection(BaseModel):
    """The best round so far, by a score of which more is better.

    Attributes:
        best_round: 0 before the first evaluation.
        best_score: its score; None before.
        since: evaluations after it, none of them better.
    """

    model_config = ConfigDict(frozen=True)

    best_round: int = 0
    best_score: float | None = None
    since: int = 0

    def update(self, server_round: int, score: float) -> "Selection":
        """Take in an evaluation; an equal score does not replace an earlier round, nor does NaN."""
        if score > (-math.inf if self.best_score is None else self.best_score):
            return Selection(best_round=server_round, best_score=score)
        return self.model_copy(update={"since": self.since + 1})

    def exhausted(self, patience: int) -> bool:
        """Whether `patience` evaluations in a row were no better; never for 0."""
        return 0 < patience <= self.since
