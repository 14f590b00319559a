"""Which round's model is kept, and when training has gone on long enough."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Selection:
    """The best round so far, by a score of which more is better.

    Attributes:
        best_round: 0 before the first evaluation.
        best_score: its score.
        since: evaluations after it, none of them better.
    """

    best_round: int = 0
    best_score: float = -math.inf
    since: int = 0

    def update(self, server_round: int, score: float) -> "Selection":
        """Take in an evaluation; an equal score does not replace an earlier round, nor does NaN."""
        if score > self.best_score:
            return Selection(server_round, score)
        return replace(self, since=self.since + 1)

    def exhausted(self, patience: int) -> bool:
        """Whether `patience` evaluations in a row were no better; never for 0."""
        return 0 < patience <= self.since

    def to_json(self) -> dict[str, Any]:
        """JSON values; `from_json` reads them back exactly."""
        values = asdict(self)
        return values | {"best_score": self.best_score if self.best_round else None}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Selection":
        """The inverse of `to_json`."""
        score = values["best_score"]
        return cls(**{**values, "best_score": -math.inf if score is None else score})
