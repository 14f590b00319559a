"""The environment in which Flower's processes run: isolated, offline, marked.

Every child inherits the mark, so that all of them are found again (`processes`), also those that
Flower and Ray detach.
"""

import importlib.util
import os
import secrets
import shutil
import socket
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedmvp_flwr.base.errors import SimulationError
from fedmvp_flwr.simulation.interrupts import interrupts_ignored

HOST = "127.0.0.1"
CONNECTION = "fedmvp"
"""Name of the SuperLink in the private config.toml."""
MARK = "FEDMVP_SIMULATION"
"""Environment variable that marks every process of one simulation."""

# Ray's sockets live about 70 characters below the temporary folder, and the path of a Unix socket
# holds 103 characters on macOS, 107 on Linux.
_MAX_TEMP_ROOT = 20
_SHORT_TEMP_ROOT = "/tmp"


@dataclass(frozen=True)
class Workspace:
    """A private folder and environment for one simulation.

    Attributes:
        root: temporary folder, deleted at the end.
        port: of the private SuperLink, on 127.0.0.1.
        mark: value of `MARK` in the environment of every child.
        programs: folder of the programs `flwr` and `flower-superlink`.
        env: environment of every child.
    """

    root: Path
    port: int
    mark: str
    programs: Path
    env: dict[str, str]

    @property
    def neutral(self) -> Path:
        """An empty folder to start from: Ray puts it first on the path of imports."""
        return self.root / "neutral"

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command line of a Flower program of this Python environment."""
        return [str(self.programs / program), *arguments]


@contextmanager
def open_workspace(port: int | None = None) -> Iterator[Workspace]:
    """Create a `Workspace`; its folder disappears at the end.

    Args:
        port: of the SuperLink; None takes a free one.

    Raises:
        SimulationError: Flower or Ray is not installed.
    """
    programs = find_programs()
    chosen = port or free_port()
    root = Path(tempfile.mkdtemp(prefix="fedmvp-", dir=_temp_root()))
    try:
        mark = secrets.token_hex(16)
        workspace = Workspace(root, chosen, mark, programs, child_environment(root, programs, mark))
        workspace.neutral.mkdir()
        home = Path(workspace.env["FLWR_HOME"])
        home.mkdir()
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\n'
            f'address = "{HOST}:{chosen}"\ninsecure = true\n',
            encoding="utf-8",
        )
        yield workspace
    finally:
        with interrupts_ignored():
            shutil.rmtree(root, ignore_errors=True)


def child_environment(root: Path, programs: Path, mark: str) -> dict[str, str]:
    """Return the environment of the children, free of settings of other Flower installations."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("FLWR_")}
    no_proxy = ",".join(filter(None, [env.get("NO_PROXY", env.get("no_proxy")), HOST, "localhost"]))
    return env | {
        MARK: mark,
        "PATH": os.pathsep.join(filter(None, [str(programs), env.get("PATH")])),
        "PYTHONUNBUFFERED": "1",  # logs arrive when they are written
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "FLWR_HOME": str(root / "flwr"),
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_ADDRESS": "local",  # never join a cluster that already runs on this machine
        "RAY_TMPDIR": str(root),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def find_programs() -> Path:
    """Return the folder of Flower's programs in the environment of the running interpreter.

    Raises:
        SimulationError: Flower or Ray is not installed there.
    """
    folders = [Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))]
    found = [folder for folder in folders if (folder / "flower-superlink").is_file()]
    if not found or importlib.util.find_spec("ray") is None:
        missing = "Ray is not installed" if found else f"No Flower programs in {folders[0]}"
        raise SimulationError(
            f"{missing}: install this package with its 'simulation' extra, as in "
            "pip install -e '.[simulation]'."
        )
    return found[0]


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def _temp_root() -> str:
    root = tempfile.gettempdir()
    return root if len(root) <= _MAX_TEMP_ROOT else _SHORT_TEMP_ROOT
