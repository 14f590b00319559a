"""What a preflight found: a report that holds JSON values only."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from fedmvp_flwr.base.errors import DataError, FedMVPError

_logger = logging.getLogger(__name__)
_T = TypeVar("_T")
_MINUTE = 60


@dataclass
class PreflightReport:
    """What a run would work with, and what is wrong with it.

    Attributes:
        problems: one sentence each; empty if the run can start.
        rows: one per client: samples, classes, complete pairs, holes, held-out samples.
        notes: one line each, about what is peculiar and need not be repaired.
        models: one per frozen model: setting, spec, size in MB, fingerprint, hub revision.
        work: one per kind of work of the frozen models: how many, how many are left to do.
        estimates: what that takes, by name: seconds, MB on disk, MB of a message.
    """

    problems: list[str] = field(default_factory=list)
    rows: list[dict[str, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    models: list[dict[str, str | float]] = field(default_factory=list)
    work: list[dict[str, str | float]] = field(default_factory=list)
    estimates: dict[str, float] = field(default_factory=dict)

    def summary(self) -> dict[str, str]:
        """The whole report in a few lines: what, and how much of it."""
        totals = {key: sum(row[key] for row in self.rows) for key in (self.rows or [{}])[0]}
        lines = {}
        if self.rows:
            pairs = [row["complete"] for row in self.rows]
            lines["clients"] = (
                f"{len(self.rows)}, with {totals['samples']} samples: {totals['complete']} "
                f"complete pairs ({min(pairs)} to {max(pairs)} each), "
                f"{totals['image missing']} without image, {totals['text missing']} without text"
            )
        if self.models:
            size = sum({str(row["fingerprint"]): float(row["MB"]) for row in self.models}.values())
            names = ", ".join(dict.fromkeys(str(row["model"]) for row in self.models))
            lines["frozen models"] = f"{names}; {size:.1f} MB"
        if self.work:
            left = [f"{row['left']} {row['work']}" for row in self.work if row["left"]]
            lines["still to do"] = ", ".join(left) or "nothing: the cache folder has everything"
        if self.estimates.get("completion s"):
            minutes = math.ceil(self.estimates["completion s"] / _MINUTE)
            lines["completion takes"] = f"about {minutes} min in one process"
        if "disk MB" in self.estimates:
            lines["disk"] = (
                f"about {self.estimates['disk MB']:.0f} MB needed, "
                f"{self.estimates['free disk MB']:.0f} MB free"
            )
        return lines

    def raise_problems(self) -> None:
        """Raise a DataError that lists everything wrong, if there is anything."""
        if self.problems:
            listed = "".join(f"\n- {problem}" for problem in self.problems)
            raise DataError(f"{len(self.problems)} problem(s) before the run:{listed}")


def attempt(report: PreflightReport, what: str, step: Callable[[], _T]) -> _T | None:
    """Take one step of a preflight; whatever it raises is a problem, and the others go on.

    Args:
        report: gets the problem.
        what: what the step looks at, for an error that nobody foresaw.
        step: the step.

    Returns:
        What the step returns, None if it raised something.
    """
    try:
        return step()
    except FedMVPError as error:
        report.problems.append(str(error))
    except Exception as error:
        _logger.exception("The preflight broke down while it looked at %s.", what)
        report.problems.append(
            f"The preflight broke down while it looked at {what}: {type(error).__name__}: {error}. "
            "This is a defect of the program, which should say what is wrong: please report it "
            "with this line and the traceback in the log."
        )
    return None
