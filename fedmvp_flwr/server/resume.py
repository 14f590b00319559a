"""Going on with an interrupted run: from the checkpoint of its last finished round.

Every chance of a run is drawn by name from its seed (`base.seeds`), so arrays, round and
selection are the whole state: the rest of the run is the same as without the interruption.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fedmvp_flwr.aggregation.checkpoint import CheckpointStore
from fedmvp_flwr.base.errors import CheckpointError
from fedmvp_flwr.base.files import expanded, write_atomic
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.config import FREE_KEYS, RunConfig
from fedmvp_flwr.protocol.class_counts import ClassCounts
from fedmvp_flwr.server.selection import Selection


class RunState(BaseModel):
    """What a checkpoint holds besides the arrays.

    Attributes:
        config: the run-config.
        class_names: in the order of the labels.
        probe: hash of the probe, or None where the run has none.
        models: fingerprints of the frozen encoders.
        threshold: of the quality gate at the server.
        counts: of the clients' samples by class.
        history_bytes: length of the events up to the end of the round.
        history_hash: hex SHA-256 of so many bytes.
        bytes: sizes of messages so far.
        seconds: durations so far.
        selection: the best round so far.
        names: keys of the nodes that told a name.
        clients: number of clients that were ready.
        data: hash of each client's samples, by its key.
    """

    model_config = ConfigDict(frozen=True)

    config: dict[str, Any]
    class_names: list[str]
    probe: str | None
    models: dict[str, str]
    threshold: float
    counts: ClassCounts
    history_bytes: int
    history_hash: str
    bytes: dict[str, int]
    seconds: dict[str, float]
    selection: Selection
    names: dict[str, int]
    clients: int
    data: dict[str, str]


@dataclass(frozen=True)
class ResumePoint:
    """A finished round to go on from.

    Attributes:
        folder: of the interrupted run.
        server_round: the round that was finished.
        tensors: the global model after it.
        state: what belongs to it.
    """

    folder: RunFolder
    server_round: int
    tensors: dict[str, Any]
    state: RunState


def load_resume_point(folder: Path) -> ResumePoint:
    """Read the newest checkpoint of a run's folder.

    Raises:
        CheckpointError: no such folder, no finished round, or a checkpoint of another version.
    """
    folder = expanded(folder, CheckpointError, "resume").absolute()
    if not folder.is_dir():
        raise CheckpointError(
            f"resume='{folder}' is no folder. Name the out-dir of an interrupted run."
        )
    run = RunFolder(folder)
    latest = CheckpointStore(run.checkpoints).latest()
    try:
        state = RunState.model_validate(latest.metadata)
    except ValidationError as error:
        wrong = ", ".join(str(item["loc"][0]) for item in error.errors())
        raise CheckpointError(
            f"The checkpoint of round {latest.server_round} in {folder} has no usable {wrong}: it "
            "was written by another version, or by the strategy alone. Start a new run."
        ) from error
    if others := state.config.keys() ^ RunConfig.keys():
        raise CheckpointError(
            f"The run in {folder} is of another version, whose settings are others "
            f"({', '.join(sorted(others))}). Finish it with that version, or start a new run."
        )
    return ResumePoint(run, latest.server_round, latest.tensors, state)


def require_same_config(config: RunConfig, state: RunState) -> None:
    """Refuse to go on with other settings than those of the interrupted run.

    Raises:
        CheckpointError: names every setting that differs, with both values.
    """
    now = config.to_run_config()
    differences = [
        f"{key} was {state.config[key]!r} and is {now[key]!r}"
        for key in sorted(now.keys() - {*FREE_KEYS})
        if state.config[key] != now[key]
    ]
    if differences:
        raise CheckpointError(
            f"The interrupted run had other settings: {'; '.join(differences)}. Give the same "
            f"settings (only {', '.join(FREE_KEYS)} may differ), or start a new run."
        )


def require_resumable(config: RunConfig, class_names: Sequence[str] | None) -> None:
    """Check what can be known beforehand of a run that is to be gone on with.

    Args:
        config: names the interrupted run, and is compared with its settings.
        class_names: of the data; None if they are not known.

    Raises:
        CheckpointError: it cannot be gone on with.
    """
    state = load_resume_point(Path(config.run.resume)).state
    require_same_config(config, state)
    if class_names is not None:
        require_same("list of classes", list(state.class_names), list(class_names))


def require_same(what: str, before: object, now: object) -> None:
    """Refuse to go on where something else than a setting has changed.

    Raises:
        CheckpointError: the two differ.
    """
    if before != now:
        raise CheckpointError(
            f"The interrupted run had another {what}: {before!r}, now {now!r}. Restore it, or "
            "start a new run."
        )


def history_mark(path: Path) -> tuple[int, str]:
    """Length and hex SHA-256 of the events written so far; they are on disk afterwards."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        content = file.read()
    return len(content), hashlib.sha256(content).hexdigest()


def require_history(point: ResumePoint) -> None:
    """Refuse to go on with events that are not those of the interrupted run.

    Raises:
        CheckpointError: the events before the end of the finished round are damaged or lost.
    """
    state, history = point.state, point.folder.metrics
    content = history.read_bytes()[: state.history_bytes] if history.is_file() else b""
    if hashlib.sha256(content).hexdigest() != state.history_hash:
        raise CheckpointError(
            f"{history} does not hold the first {state.history_bytes} bytes that the checkpoint of "
            f"round {point.server_round} belongs to: it was changed or lost. Start a new run."
        )


def restore(point: ResumePoint, out: RunFolder) -> None:
    """Bring the folder `out` to the end of the finished round: events, best model, pictures.

    What the interrupted run wrote after that round is cut off, since the round after it is run
    again; `require_history` says whether the events are there.
    """
    state, before = point.state, point.folder
    if out.path.samefile(before.path):
        os.truncate(out.metrics, state.history_bytes)
        for path in out.best_files():
            if path > out.best_file(point.server_round):
                path.unlink()
    else:
        write_atomic(out.metrics, before.metrics.read_bytes()[: state.history_bytes])
        _copy(point, out)
    for path in (out.result, out.model, out.report):
        path.unlink(missing_ok=True)


def _copy(point: ResumePoint, out: RunFolder) -> None:
    before = point.folder
    best = before.best_file(point.state.selection.best_round)
    files = [before.probe, before.round_file(point.server_round), best]
    for path in [*files, *before.completions.glob("*")]:
        if path.is_file():
            copy = out.path / path.relative_to(before.path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
