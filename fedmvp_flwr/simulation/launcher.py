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
from typing import Literal, TextIO

from fedmvp_flwr.base.errors import ConfigError, SimulationError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.simulation.environment import Workspace, open_workspace
from fedmvp_flwr.simulation.events import Event, EventTail
from fedmvp_flwr.simulation.flower_app import (
    ConfigValue,
    FlowerApp,
    absolute_paths,
    check_keys,
    load_app,
    write_overrides,
)
from fedmvp_flwr.simulation.submit import LogStream, RunStatus, run_status, submit_run
from fedmvp_flwr.simulation.superlink import PortTakenError, running_superlink

ERROR_PREFIX = "FedMVP error:"
"""The apps log their own errors behind this prefix."""

MIN_CLIENTS = 2
_PORT_ATTEMPTS = 3
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
        status: `completed` only if Flower and the app's own result agree.
        exit_code: 0 or 1, for a shell.
        run_id: Flower's id of the run.
        details: why it failed, or empty.
        out: absolute folder of the results and logs.
    """

    status: Literal["completed", "failed"]
    exit_code: int
    run_id: str
    details: str
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
    validate: Callable[[Mapping[str, ConfigValue]], object] | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    on_log: Callable[[str], None] = lambda line: None,
) -> SimulationOutcome:
    """Run a Flower app in simulation and wait for its end.

    Everything is checked before anything is started. An older `metrics.jsonl` and `result.json` in
    `out` are deleted, but for the events of a run that is gone on with there (`resume`). Whatever
    happens, KeyboardInterrupt included, every process that was started is ended before this
    function returns or raises.

    Args:
        app: folder of the app. Where its run-config has `out-dir`, it is set to `out`, and the app
            must write a `result.json` with status "completed" there.
        run_config: overrides; relative paths in them count from the current folder.
        num_clients: simulated clients, at least 2.
        out: folder of the results, created if need be.
        num_cpus: CPUs per client: as many clients run at once as the machine has CPUs for.
        num_gpus: GPUs per client, a fraction shares one.
        port: of the private SuperLink; None takes a free one.
        validate: called with the complete run-config, raises ConfigError to refuse it.
        on_event: called with each event of `metrics.jsonl`, and with
            `{"event": "launcher", "step": ...}` for the launcher's own steps.
        on_log: called with each line of the run's log, from another thread.

    Returns:
        The outcome; a run that failed is an outcome, too.

    Raises:
        ConfigError: the app, a run-config key, a number, the port or `out` cannot be used.
        SimulationError: Flower could not be started or asked.
    """
    flower_app = load_app(app)
    out = expanded(out, ConfigError, "out-dir").resolve()
    overrides = _prepare_overrides(flower_app, run_config, out, validate)
    _check_resources(num_clients, num_cpus, num_gpus)
    federation = {
        "num-supernodes": num_clients,
        "client-resources-num-cpus": num_cpus,
        "client-resources-num-gpus": float(num_gpus),
    }
    goes_on = bool(overrides.get("resume")) and Path(str(overrides["resume"])) == out
    folder = RunFolder(out)
    with _claim(folder, keeps_events=goes_on) as log:
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            try:
                with open_workspace(port) as workspace:
                    return _Session(workspace, flower_app, folder, log, on_event, on_log).run(
                        overrides, federation
                    )
            except PortTakenError:
                if port is not None or attempt == _PORT_ATTEMPTS:
                    raise
    raise AssertionError("unreachable: the last attempt returns or raises")


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
        problem = self._find_problem(status)
        return SimulationOutcome(
            status="failed" if problem else "completed",
            exit_code=int(bool(problem)),
            run_id=run_id,
            details=problem,
            out=self.folder.path,
        )

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
        expected = "out-dir" in self.app.defaults
        if status.completed and (result.get("status") == "completed" or not expected):
            return ""
        own = find_own_errors(self.folder.log.read_text(encoding="utf-8"))
        reason = result.get("reason") or "\n".join(own) or status.details
        if reason == _NO_HEARTBEAT:
            reason += ": its process died. Was the memory used up?"
        if status.completed:
            return (
                reason
                or f'The app ended without a {self.folder.result.name} that says "completed".'
            )
        return reason or f"Flower ended the run as {status.status}."


def find_own_errors(log: str) -> list[str]:
    """Return the different messages that stand behind `ERROR_PREFIX` in a log, in their order."""
    found = re.findall(rf"{re.escape(ERROR_PREFIX)}\s*(.+)", log)
    return list(dict.fromkeys(_RAY_REPEATS.sub("", message).strip() for message in found))


def _prepare_overrides(
    app: FlowerApp,
    run_config: Mapping[str, ConfigValue],
    out: Path,
    validate: Callable[[Mapping[str, ConfigValue]], object] | None,
) -> dict[str, ConfigValue]:
    overrides = absolute_paths(run_config, Path.cwd())
    if "out-dir" in app.defaults:
        overrides["out-dir"] = str(out)
    if validate is not None:
        validate(app.defaults | overrides)
    check_keys(app, overrides)
    return overrides


def _check_resources(num_clients: int, num_cpus: int, num_gpus: float) -> None:
    if num_clients < MIN_CLIENTS:
        raise ConfigError(
            f"{num_clients} client(s) are no federation: --num-clients must be at least "
            f"{MIN_CLIENTS}."
        )
    available = os.cpu_count() or 1
    if not 1 <= num_cpus <= available:
        raise ConfigError(
            f"--num-cpus is {num_cpus}, but a client needs at least 1 CPU and this machine has "
            f"{available}."
        )
    if num_gpus < 0:
        raise ConfigError(f"--num-gpus cannot be negative, and it is {num_gpus}.")


@contextmanager
def _claim(folder: RunFolder, *, keeps_events: bool) -> Iterator[TextIO]:
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
        folder.result.unlink(missing_ok=True)
        if not keeps_events:
            folder.metrics.unlink(missing_ok=True)
        yield log
