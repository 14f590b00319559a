"""A private SuperLink for one simulation.

`flwr run` would start one by itself, but it would also use any other that answers on its port,
and leave its own running.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedmvp_flwr.base.errors import SimulationError
from fedmvp_flwr.simulation.environment import HOST, Workspace
from fedmvp_flwr.simulation.interrupts import interrupts_ignored

START_TIMEOUT = 120.0  # seconds; 2 to 5 are usual
_POLL = 0.1
_READY = "Uvicorn running on"  # logged once the port is bound; /health may be another program's
_PORT_TAKEN = "address already in use"
_LOG_TAIL = 15


class PortTakenError(SimulationError):
    """Another program has the port."""


@contextmanager
def running_superlink(workspace: Workspace, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a SuperLink for simulations, wait until it serves, and end it with all that it started.

    Whatever happens, every process of the workspace is ended on the way out.

    Args:
        workspace: where and on which port.
        log: file that receives all that the SuperLink writes.

    Yields:
        Its process, detached from the terminal.

    Raises:
        PortTakenError: another program was faster.
        SimulationError: it ended or was not ready in `START_TIMEOUT` seconds, or something could
            not be ended.
    """
    # Here, as psutil is no dependency of those who only use the runner without SuperLink.
    from fedmvp_flwr.simulation.processes import stop_marked

    process = None
    try:
        process = _start(workspace, log)
        _wait_until_ready(process, workspace.port, log)
        yield process
    finally:
        with interrupts_ignored():
            stop_marked(workspace.mark)
            if process is not None:
                process.wait()


def _start(workspace: Workspace, log: Path) -> subprocess.Popen[bytes]:
    command = workspace.command(
        "flower-superlink",
        *("--insecure", "--simulation", "--isolation", "subprocess"),
        *("--host", HOST, "--port", str(workspace.port)),
    )
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=workspace.neutral,
            env=workspace.env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while _READY not in (written := log.read_text(encoding="utf-8", errors="replace")):
        ended = process.poll() is not None
        if ended and _PORT_TAKEN in written:
            raise PortTakenError(
                f"Port {port} is taken by another program. Choose another one with --port, or "
                "leave it out to get a free one."
            )
        if ended or time.monotonic() > deadline:
            code = f"ended at once (code {process.returncode})"
            what = code if ended else f"was not ready in {START_TIMEOUT:.0f} s"
            tail = "\n".join(written.splitlines()[-_LOG_TAIL:])
            raise SimulationError(f"Flower's SuperLink {what}:\n{tail}")
        time.sleep(_POLL)
