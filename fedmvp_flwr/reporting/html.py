"""One self-contained HTML page per run."""

from importlib.util import find_spec
from pathlib import Path

from fedmvp_flwr.base.errors import ReportError
from fedmvp_flwr.base.files import write_atomic
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.reporting.run_record import RunRecord, load_run
from fedmvp_flwr.reporting.sections import client_weights as weights
from fedmvp_flwr.reporting.sections import (
    clients,
    completions,
    costs,
    graph,
    headline,
    learning,
    scores,
    settings,
)
from fedmvp_flwr.reporting.style import STYLE
from fedmvp_flwr.reporting.template import TEMPLATE
from fedmvp_flwr.reporting.text import DASH

_LIBRARIES = ("jinja2", "matplotlib")


def write_report(out_dir: Path) -> Path:
    """Write `report.html` about the last run in a folder; return its path.

    The run may be unfinished or failed: the page shows what there is.

    Args:
        out_dir: folder with `metrics.jsonl`; `result.json` and `completions/` are shown where
            they exist.

    Raises:
        ReportError: the extra `report` is not installed, the folder holds no run, a file of it
            is damaged, or the page cannot be written.
    """
    missing = _missing_libraries()
    if missing:
        raise ReportError(
            f"A report needs {' and '.join(missing)}, which the extra 'report' installs: "
            "pip install 'fedmvp-flwr[report]'. Then: fedmvp report DIR."
        )
    try:
        page = render(load_run(out_dir), out_dir)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ReportError(
            f"The run in {out_dir} cannot be reported: another version wrote it, or a file of it "
            f"is damaged ({type(error).__name__}: {error})."
        ) from error
    path = RunFolder(out_dir).report
    try:
        write_atomic(path, page.encode("utf-8", errors="replace"))
    except OSError as error:
        raise ReportError(f"The report {path} cannot be written: {error.strerror}.") from error
    return path


def write_report_if_available(out_dir: Path) -> Path | None:
    """Write the report where the extra `report` is installed; otherwise return None.

    Raises:
        ReportError: as for `write_report`.
    """
    return None if _missing_libraries() else write_report(out_dir)


def _missing_libraries() -> list[str]:
    """Libraries of the extra `report` that are not installed."""
    return [name for name in _LIBRARIES if find_spec(name) is None]


def render(run: RunRecord, out_dir: Path) -> str:
    """Return the page about a run; `out_dir` holds its completions."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    final = scores.build(run)
    return environment.from_string(TEMPLATE).render(
        style=STYLE,
        dash=DASH,
        head=headline.build(run, final),
        scores=final,
        learning=learning.build(run),
        graph=graph.build(run),
        weights=weights.build(run),
        clients=clients.build(run),
        cards=completions.build(run, out_dir),
        costs=costs.build(run),
        rejected=costs.rejected(run),
        rounds=len(run.rounds),
        settings=settings.build(run),
    )
