"""One federated run at the server, from the first message to the report."""

from logging import WARNING
from pathlib import Path

from flwr.common.logger import log
from flwr.serverapp import Grid

from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.base.tensor_file import save_tensors
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.preflight.checks import preflight
from fedmvp_flwr.reporting.tensorboard import require_tensorboard
from fedmvp_flwr.server.federation import TrainedRun, train
from fedmvp_flwr.server.journal import Journal
from fedmvp_flwr.server.opened_run import OpenedRun
from fedmvp_flwr.server.preparation import PreparedRun, prepare
from fedmvp_flwr.server.results import run_hashes, save_model, total_completions
from fedmvp_flwr.server.resume import (
    load_resume_point,
    require_history,
    require_same_config,
    restore,
)


def open_run(config: RunConfig, folder: RunFolder) -> OpenedRun:
    """Check everything, and only then touch what an earlier run has left in the folder.

    Args:
        config: the run's settings.
        folder: existing folder of the results.

    Raises:
        CheckpointError: the run to resume cannot be gone on with; its folder is left as it is.
        ConfigError: the folder holds another run that was not completed.
        DataError: all that the preflight found.
        ReportError: the curves for TensorBoard are asked for, without the package.
    """
    point = load_resume_point(Path(config.run.resume)) if config.run.resume else None
    in_place = point is not None and point.folder.path.samefile(folder.path)
    if point:
        require_same_config(config, point.state)
        require_history(point)
    if not in_place:
        folder.require_overwritable()
    _check(config, folder)
    if not in_place:
        folder.clear()
    if point:
        restore(point, folder)
    journal = Journal(config, folder, point.state if point else None)
    return OpenedRun(config, folder, point, journal)


def execute(run: OpenedRun, grid: Grid) -> None:
    """Prepare clients and server, run the rounds, write the results."""
    prepared = prepare(run, grid)
    trained = train(run, prepared, grid)
    finish(run, prepared, trained)


def finish(run: OpenedRun, prepared: PreparedRun, trained: TrainedRun) -> None:
    """Write model, result and report."""
    state = trained.network.state_dict()
    save_model(run.folder.model, state, run.config, prepared.data.class_names)
    save_tensors(run.folder.predictions, trained.scorer.predictions(), {})
    summaries = prepared.admission.ready()
    run.journal.finish(
        {
            **trained.scorer.of_selected(trained.selected, run.folder.metrics),
            "scores-from": trained.scorer.scores_from,
            "rounds": {"last": trained.last_round, "selected": trained.selected},
            "completions": total_completions(summaries),
            "models": prepared.models,
            "hashes": run_hashes(summaries, prepared.probe_hash),
            "clients": len(summaries),
        }
    )


def _check(config: RunConfig, folder: RunFolder) -> None:
    """Look for everything wrong; of a failure, leave a result where there is none yet."""
    if config.run.tensorboard:
        require_tensorboard()
    try:
        preflight(config, 0).raise_problems()
    except Exception as error:
        if folder.newest_round() or folder.completed:
            log(WARNING, "%s still holds an earlier run, as it was.", folder.path)
        else:
            folder.clear()
            Journal(config, folder).fail(error)
        raise
