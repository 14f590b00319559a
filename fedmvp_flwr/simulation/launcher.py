"""Run a Flower app in simulation, around the traps of `flwr run`, and leave nothing behind."""

import fcntl
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from fedmvp_flwr.base.errors import ConfigError, SimulationError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.simulation.environment import Workspace, open_workspace
from fedmvp_flwr.simulation.event_tail import Event, EventTail
from fedmvp_flwr.simulation.flower_app import (
    ConfigValue,
    FlowerApp,
    absolute_paths,
    check_keys,
    load_app,
    write_overrides,
)
from fedmvp_flwr.simulation.flwr_commands import LogStream, RunStatus, run_status, submit_run
from fedmvp_flwr.simulation.superlink import PortTakenError, running_superlink

ERROR_PREFIX = "FedMVP error:"
"""The apps log their own errors behind this prefix."""

_EVENT_POLL = 0.2
_STATUS_POLL = 30.0  # seconds while the log flows: each question costs a second of CPU
_STATUS_POLL_AT_END = 1.0
_LOG_DRAIN = 10.0
_NO_HEARTBEAT = "No heartbeat received from the task"  # Flower's words
_RAY_REPEATS = re.compile(r"\s*\[repeated \d+x across cluster\].*")


@dataclass(frozen=True)
class SimulationOutcome:
    """How a simulation ended.

    Attributes:
        problem: why it failed; empty if Flower and the app's own result say that it completed.
        run_id: Flower's id of the run.
        out: absolute folder of the results and logs.
    """

    problem: str
    run_id: str
    out: Path


def run_simulation(
    app: Path,
    *,
    run_config: Mapping[str, ConfigValue],
    num_clients: int,
    out: Path,
    num_cpus: int = 1,
    num_gpus: float = 0.0,
    port: int | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    on_log: Callable[[str], None] = lambda line: None,
) -> SimulationOutcome:
    """Run a Flower app in simulation and wait for its end.

    Everything is checked before anything is started. What an earlier run left in `out` is deleted,
    but for a run that is gone on with there (`resume`); of an app of another kind, its
    `metrics.jsonl` and `result.json` alone. Whatever happens, KeyboardInterrupt included, every
    process that was started is ended before this function returns or raises.

    Args:
        app: folder of the app. Where its run-config has `out-dir`, it is set to `out`, and the app
            must write a `result.json` with status "completed" there.
        run_config: overrides; relative paths in them count from the current folder.
        num_clients: simulated clients, at least 2.
        out: folder of the results, created if need be.
        num_cpus: CPUs per client: as many clients run at once as the machine has CPUs for.
        num_gpus: GPUs per client, a fraction shares one.
        port: of the private SuperLink; None takes a free one.
        on_event: called with each event of `metrics.jsonl`, and with
            `{"event": "launcher", "step": ...}` for the launcher's own steps.
        on_log: called with each line of the run's log, from another thread.

    Returns:
        The outcome; a run that failed is an outcome, too.

    Raises:
        ConfigError: the app, a setting, a number or `out` cannot be used, or `out` holds
            a run that was not completed.
        SimulationError: Flower could not be started or asked, or the port is taken.
    """
    flower_app = load_app(app)
    out = expanded(out, ConfigError, "out-dir").resolve()
    overrides = _prepare_overrides(flower_app, run_config, out)
    federation = _federation(num_clients, num_cpus, num_gpus)
    folder = RunFolder(out)
    goes_on = overrides.get("resume") == str(out)
    replaces = flower_app.ships_library and not goes_on
    if replaces:
        folder.require_overwritable()
    with _claim(folder) as log:
        folder.result.unlink(missing_ok=True)
        if not goes_on:
            folder.metrics.unlink(missing_ok=True)
        if replaces:
            folder.clear()
        while True:
            try:
                with open_workspace(port) as workspace:
                    return _Session(workspace, flower_app, folder, log, on_event, on_log).run(
                        overrides, federation
                    )
            except PortTakenError:  # between its choice and the start of the SuperLink
                if port is not None:
                    raise


@dataclass(frozen=True)
class _Session:
    """One run on its own SuperLink."""

    workspace: Workspace
    app: FlowerApp
    folder: RunFolder
    log: TextIO
    on_event: Callable[[Event], None]
    on_log: Callable[[str], None]

    def run(
        self, overrides: Mapping[str, ConfigValue], federation: dict[str, int | float]
    ) -> SimulationOutcome:
        overrides_file = self.workspace.root / "run-config.toml"
        write_overrides(overrides, overrides_file)
        self._report_step("superlink")
        with running_superlink(self.workspace, self.folder.superlink_log) as superlink:
            try:
                self._report_step("submit")
                run_id = submit_run(self.workspace, self.app.path, overrides_file, federation)
                self._report_step("running")
                status = self._watch(run_id, superlink)
            finally:
                self._report_step("stopping")
        return SimulationOutcome(self._find_problem(status), run_id, self.folder.path)

    def _report_step(self, step: str) -> None:
        self.on_event({"event": "launcher", "step": step})

    def _watch(self, run_id: str, superlink: subprocess.Popen[bytes]) -> RunStatus:
        stream = LogStream(self.workspace, run_id, self.log, self.on_log)
        try:
            status = self._follow(run_id, superlink, stream)
            stream.close(_LOG_DRAIN)
        finally:
            stream.close()
        return status

    def _follow(
        self, run_id: str, superlink: subprocess.Popen[bytes], stream: LogStream
    ) -> RunStatus:
        tail = EventTail(self.folder.metrics)
        asked = time.monotonic()
        while True:
            for event in tail.read():
                self.on_event(event)
            if superlink.poll() is not None:
                raise SimulationError(
                    f"Flower's SuperLink ended in the middle of the run (code "
                    f"{superlink.returncode}); see {self.folder.superlink_log}."
                )
            waited = time.monotonic() - asked
            if waited > (_STATUS_POLL_AT_END if stream.ended else _STATUS_POLL):
                status = run_status(self.workspace, run_id)
                asked = time.monotonic()
                if status.finished:
                    for event in tail.read():
                        self.on_event(event)
                    return status
            time.sleep(_EVENT_POLL)

    def _find_problem(self, status: RunStatus) -> str:
        result = self.folder.read_result() or {}
        says_so = result.get("status") == "completed" or "out-dir" not in self.app.defaults
        completed = status.status == "finished:completed"
        if completed and says_so:
            return ""
        own = find_own_errors(self.folder.log.read_text(encoding="utf-8"))
        reason = result.get("reason") or "\n".join(own) or status.details
        if reason == _NO_HEARTBEAT:
            reason += ": its process died. Was the memory used up?"
        if completed:
            return reason or 'The app ended without a result.json that says "completed".'
        return reason or f"Flower ended the run as {status.status}."


def find_own_errors(log: str) -> list[str]:
    """Return the different messages that stand behind `ERROR_PREFIX` in a log, in their order."""
    found = re.findall(rf"{re.escape(ERROR_PREFIX)}\s*(.+)", log)
    return list(dict.fromkeys(_RAY_REPEATS.sub("", message).strip() for message in found))


def _prepare_overrides(
    app: FlowerApp, run_config: Mapping[str, ConfigValue], out: Path
) -> dict[str, ConfigValue]:
    overrides = absolute_paths(run_config, Path.cwd())
    if "out-dir" in app.defaults:
        overrides["out-dir"] = str(out)
    if app.ships_library:
        RunConfig.from_run_config(app.defaults | overrides)
    check_keys(app, overrides)
    return overrides


def _federation(num_clients: int, num_cpus: int, num_gpus: float) -> dict[str, int | float]:
    """Flower's federation config."""
    available = os.cpu_count() or 1
    if num_cpus > available:
        raise ConfigError(f"--num-cpus is {num_cpus}, but this machine has {available} CPUs.")
    return {
        "num-supernodes": num_clients,
        "client-resources-num-cpus": num_cpus,
        "client-resources-num-gpus": float(num_gpus),
    }


@contextmanager
def _claim(folder: RunFolder) -> Iterator[TextIO]:
    """Open the log in the output folder, for one simulation at a time."""
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        log = folder.log.open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"Cannot write to the output folder {folder.path} ({error.strerror}): choose another "
            "--out."
        ) from error
    with log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"Another simulation is writing to {folder.path}: choose another --out."
            ) from error
        log.truncate(0)
        yield log
