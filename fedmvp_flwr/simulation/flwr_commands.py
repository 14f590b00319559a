"""Submit a run, follow its log, ask for its status.

`flwr run --stream` exits with 0 even when the run fails; the truth is in `flwr list`.
"""

import json
import re
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from fedmvp_flwr.base.errors import SimulationError
from fedmvp_flwr.simulation.environment import CONNECTION, Workspace

_COMMAND_TIMEOUT = 120.0  # seconds; 1 to 3 are usual
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class RunStatus:
    """What Flower says about a run.

    Attributes:
        status: `pending`, `starting`, `running` or `finished:` with `completed`, `failed`,
            `stopped`.
        details: why it is not `finished:completed`, or empty.
    """

    status: str
    details: str

    @property
    def finished(self) -> bool:
        """Whether the run is over, well or not."""
        return self.status.startswith("finished")


def submit_run(
    workspace: Workspace, app: Path, run_config: Path, federation: dict[str, int | float]
) -> str:
    """Submit the app to the private SuperLink.

    Args:
        workspace: of the SuperLink.
        app: folder of the Flower app.
        run_config: TOML file of overrides.
        federation: Flower's federation config (`num-supernodes`, ...).

    Returns:
        The id of the run.

    Raises:
        SimulationError: Flower refused it; says why.
    """
    pairs = " ".join(f"{key}={value}" for key, value in federation.items())
    answer = _ask(
        workspace,
        *("run", str(app), CONNECTION, "--format", "json"),
        *("--run-config", str(run_config), "--federation-config", pairs),
    )
    return str(answer["run-id"])


def run_status(workspace: Workspace, run_id: str) -> RunStatus:
    """Ask the private SuperLink how a run is doing.

    Raises:
        SimulationError: no readable answer.
    """
    answer = _ask(workspace, "list", CONNECTION, "--run-id", run_id, "--format", "json")
    run = answer["runs"][0]
    return RunStatus(run["status"], run.get("status-details") or "")


class LogStream:
    """Copies the log of a run, line by line and without colours, to a file and a function."""

    def __init__(
        self, workspace: Workspace, run_id: str, log: TextIO, on_line: Callable[[str], None]
    ) -> None:
        self._process = subprocess.Popen(
            workspace.command("flwr", "log", run_id, CONNECTION, "--stream"),
            cwd=workspace.neutral,
            env=workspace.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._thread = threading.Thread(target=self._copy, args=(log, on_line), daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether the whole log was copied (or the stream broke)."""
        return not self._thread.is_alive()

    def close(self, timeout: float = 0.0) -> None:
        """Wait for the end for up to `timeout` seconds, then end the stream."""
        self._thread.join(timeout)
        self._process.kill()
        self._process.wait()
        self._thread.join()

    def _copy(self, log: TextIO, on_line: Callable[[str], None]) -> None:
        stream = self._process.stdout
        assert stream is not None  # for mypy: stdout=PIPE above
        with stream:
            for raw in stream:
                line = _ANSI.sub("", raw)
                log.write(line)
                log.flush()
                on_line(line.rstrip("\n"))


def _ask(workspace: Workspace, *arguments: str) -> dict[str, Any]:
    command = f"flwr {arguments[0]}"
    try:
        done = subprocess.run(
            workspace.command("flwr", *arguments),
            cwd=workspace.neutral,
            env=workspace.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SimulationError(f"`{command}` gave no answer in {_COMMAND_TIMEOUT:.0f} s.") from error
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        answer = {}
    if not answer.get("success"):
        reason = answer.get("error-message") or done.stderr.strip() or done.stdout.strip()
        raise SimulationError(f"`{command}` was refused: {_ANSI.sub('', str(reason))}")
    return answer
