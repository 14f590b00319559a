"""What the runs of a comparison gave: scores, cost, and differences from the reference."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmvp_flwr.base.errors import CheckpointError
from fedmvp_flwr.base.jsonl import read_events
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.base.tensor_file import load_tensors
from fedmvp_flwr.comparison.experiment import Experiment
from fedmvp_flwr.comparison.paired import Difference, paired_difference, seed_difference

CONDITIONS = ("complete", "image-only", "text-only", "unseen-image", "unseen-text")
Right = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Outcome:
    """One completed run.

    Attributes:
        seed: its seed.
        accuracy: by condition, in [0, 1].
        completed: the same with completion at test time.
        seconds: wall time.
        bytes: of all model messages, both ways.
        right: by condition (N,) bool, which test samples were classified right.
    """

    seed: int
    accuracy: dict[str, float]
    completed: dict[str, float]
    seconds: float
    bytes: int
    right: Right


@dataclass(frozen=True)
class Group:
    """The runs of one cell of the grid.

    Attributes:
        name: its values of the grid; empty without a grid.
        outcomes: by method, ordered by seed.
    """

    name: str
    outcomes: dict[str, list[Outcome]]

    def mean(self, method: str, condition: str) -> float | None:
        """Mean accuracy over the seeds."""
        values = self.values(method, condition)
        return float(np.mean(values)) if values else None

    def values(self, method: str, condition: str) -> list[float]:
        """Accuracy of each seed that has this condition."""
        found = self.outcomes.get(method, [])
        return [o.accuracy[condition] for o in found if condition in o.accuracy]

    @property
    def conditions(self) -> list[str]:
        """Conditions that any run has."""
        found = {name for runs in self.outcomes.values() for o in runs for name in o.accuracy}
        return [*[c for c in CONDITIONS if c in found], *sorted(found - {*CONDITIONS})]

    def difference(self, ours: str, theirs: str, condition: str) -> Difference | None:
        """How far one method is above another one, on the seeds that both have."""
        mine = {o.seed: o for o in self.outcomes.get(ours, []) if condition in o.accuracy}
        other = {o.seed: o for o in self.outcomes.get(theirs, []) if condition in o.accuracy}
        seeds = sorted(mine.keys() & other.keys())
        if not seeds:
            return None
        pairs = [(mine[s].right.get(condition), other[s].right.get(condition)) for s in seeds]
        known = [(a, b) for a, b in pairs if a is not None and b is not None and len(a) == len(b)]
        if len(known) == len(seeds):
            return paired_difference([a for a, _ in known], [b for _, b in known])
        return seed_difference(
            [mine[s].accuracy[condition] for s in seeds],
            [other[s].accuracy[condition] for s in seeds],
        )


def read_outcomes(experiment: Experiment, out: Path) -> list[Group]:
    """Read every completed run of a comparison."""
    groups = {name: Group(name, {}) for name in experiment.groups}
    for cell in experiment.cells:
        folder = RunFolder(out / cell.name)
        if folder.completed:
            outcome = _outcome(folder, cell.seed)
            groups[cell.group].outcomes.setdefault(cell.method, []).append(outcome)
    return [group for group in groups.values() if group.outcomes]


def rows(groups: Sequence[Group]) -> Iterator[dict[str, Any]]:
    """One row per cell of the grid, method, seed and condition."""
    for group in groups:
        for method, runs in group.outcomes.items():
            for run in runs:
                for key, scores in (("", run.accuracy), ("-with-completion", run.completed)):
                    for condition, accuracy in scores.items():
                        yield {
                            "cell": group.name,
                            "method": method,
                            "seed": run.seed,
                            "condition": condition + key,
                            "accuracy": accuracy,
                            "seconds": run.seconds,
                            "bytes": run.bytes,
                        }


def _outcome(folder: RunFolder, seed: int) -> Outcome:
    result = folder.read_result() or {}
    sent = 0
    for event in read_events(folder.metrics):
        if event.get("event") == "round":
            sent += len(event["clients"]) * (event["bytes"]["up"] + event["bytes"]["down"])
    return Outcome(
        seed,
        dict(result.get("accuracy", {})),
        dict(result.get("accuracy-with-completion", {})),
        float(result.get("seconds", {}).get("total", 0.0)),
        sent,
        _right(folder),
    )


def _right(folder: RunFolder) -> Right:
    try:
        tensors, _ = load_tensors(folder.predictions)
    except CheckpointError:
        return {}
    return {
        name: (predicted == tensors[f"{name}.true"]).numpy()
        for name, predicted in tensors.items()
        if f"{name}.true" in tensors
    }
