"""SuperLink and SuperNodes as plain processes, by the same scripts that the containers run."""

import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reliability.processes import Service, wait_for
from reliability.proxy import HOST, CountingProxy

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = REPOSITORY / "docker" / "scripts"
PROGRAMS = Path(sys.executable).parent
START_TIMEOUT = 300.0  # seconds; generous, for machines that are busy
RUN_TIMEOUT = 3000.0
_ATTEMPTS, _PAUSE = 5, 5.0  # of questions to the SuperLink; seconds
_STATUS_POLL, _STATUS_POLL_AT_END = 30.0, 2.0  # seconds; each question costs a second of CPU


@dataclass
class NodeSpec:
    """How a node is started.

    Attributes:
        name: of the node and of its key.
        data: folder of its samples.
        cache: folder that it writes to.
        proxy: the line to the SuperLink.
        env: additions to its environment.
    """

    name: str
    data: Path
    cache: Path
    proxy: CountingProxy
    env: dict[str, str] = field(default_factory=dict)


class Federation:
    """A deployment below one folder.

    Args:
        root: existing empty folder, with a short path.
        folders: data folder of each node; the nodes are called node-0, node-1, ...
    """

    def __init__(self, root: Path, folders: list[Path]) -> None:
        self.root = root
        self.certificates = root / "certificates"
        self.port = free_port()
        self.superlink: Service | None = None
        self.up_at = time.monotonic()
        """When the SuperLink was first started."""
        self.nodes: dict[str, Service] = {}
        self.specs = {
            f"node-{i}": NodeSpec(
                f"node-{i}", folder, root / f"cache-{i}", CountingProxy(self.port)
            )
            for i, folder in enumerate(folders)
        }
        self.env = environment(root)
        self.script("certificates.sh", self.certificates, *self.specs)

    def script(self, name: str, *arguments: object, **env: str) -> str:
        """Run one of the container scripts to its end; return what it printed."""
        command = [str(SCRIPTS / name), *map(str, arguments)]
        done = subprocess.run(
            command, env=self.env | env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{name} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def start_superlink(self) -> None:
        """Start the SuperLink and wait until it is healthy."""
        state = self.root / "state"
        env = self.env | {
            "FEDMVP_CERTIFICATES": str(self.certificates),
            "FEDMVP_STATE": str(state),
            "FEDMVP_HOST": HOST,
            "FEDMVP_PORT": str(self.port),
            "FLWR_HOME": str(state / "flwr"),
        }
        state.mkdir(exist_ok=True)
        if self.superlink is None:
            self.up_at = time.monotonic()
        log = self.root / "superlink.log"
        self.superlink = Service(
            "superlink", [str(SCRIPTS / "superlink.sh")], env, log, restart=True
        )
        wait_for("a healthy SuperLink", self.healthy, START_TIMEOUT)

    def healthy(self) -> bool:
        """Whether the SuperLink answers on /health, as the containers' health check asks."""
        context = ssl.create_default_context(cafile=str(self.certificates / "ca.crt"))
        with suppress(OSError):
            url = f"https://{HOST}:{self.port}/health"
            with urllib.request.urlopen(url, context=context, timeout=5) as answer:
                return bool(answer.status == 200)
        return False

    def register(self, *names: str) -> None:
        """Let the nodes connect from now on."""
        link = f"{HOST}:{self.port}"
        self.script("register.sh", self.certificates, *names, FEDMVP_SUPERLINK=link)

    def start_node(self, name: str, **env: str) -> Service:
        """Start a node, with the restart policy of the containers.

        Args:
            name: one of `specs`.
            **env: replaces settings of supernode.sh.
        """
        spec = self.specs[name]
        settings = {
            "FEDMVP_NODE_NAME": name,
            "FEDMVP_SUPERLINK": f"{HOST}:{spec.proxy.port}",
            "FEDMVP_CERTIFICATES": str(self.certificates),
            "FEDMVP_NODE_KEY": str(self.certificates / "nodes" / name),
            "FEDMVP_DATA": str(spec.data),
            "FEDMVP_CACHE": str(spec.cache),
            "FEDMVP_NODE_PORT": str(free_port()),
            "FLWR_HOME": str(self.root / f"flwr-{name}"),
        }
        log = self.root / f"{name}.log"
        command = [str(SCRIPTS / "supernode.sh")]
        service = Service(name, command, self.env | settings | spec.env | env, log, restart=not env)
        if not env:
            self.nodes[name] = service
        return service

    def submit(self, run_config: Mapping[str, object]) -> str:
        """Start a run; return its id."""
        file = self.root / "run-config.toml"
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in run_config.items()]
        file.write_text("".join(lines), encoding="utf-8")
        answer = self.flwr("run", str(REPOSITORY), "fedmvp", "--run-config", str(file))
        return str(answer["run-id"])

    def status(self, run_id: str) -> str:
        """Flower's status of a run, with details where there are any."""
        run = self.flwr("list", "fedmvp", "--run-id", run_id)["runs"][0]
        details = run.get("status-details") or ""
        return f"{run['status']} {'' if details == 'N/A' else details}".strip()

    def wait(self, run_id: str, out: Path, timeout: float = RUN_TIMEOUT) -> str:
        """Wait for the end of a run; return its status.

        Args:
            run_id: of the run.
            out: folder of its results: its events are looked at often, Flower is asked seldom.
            timeout: seconds.
        """
        asked = time.monotonic()
        status = ""

        def finished() -> bool:
            nonlocal asked, status
            pause = _STATUS_POLL_AT_END if ended(out) else _STATUS_POLL
            if time.monotonic() - asked < pause:
                return False
            status, asked = self.status(run_id), time.monotonic()
            return status.startswith("finished")

        wait_for(f"the end of run {run_id}", finished, timeout)
        return status

    def flwr(self, *arguments: str) -> dict[str, Any]:
        """Run a command of Flower's CLI; return its JSON answer.

        A busy SuperLink may answer with an error of its own: what only asks is asked again.

        Raises:
            RuntimeError: it was refused.
        """
        for attempt in range(_ATTEMPTS):
            answer = self._flwr(*arguments)
            if answer.get("success"):
                return answer
            if arguments[0] == "run" or attempt == _ATTEMPTS - 1:
                break
            time.sleep(_PAUSE)
        raise RuntimeError(f"flwr {arguments[0]}: {answer}")

    def _flwr(self, *arguments: str) -> dict[str, Any]:
        command = [str(PROGRAMS / "flwr"), *arguments, "--format", "json"]
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            answer = None
        return answer if isinstance(answer, dict) else {"said": done.stdout + done.stderr}

    def stop(self) -> None:
        """End everything: the nodes first, as Flower wants it."""
        for service in self.nodes.values():
            service.restart = False
        for service in [*self.nodes.values(), *filter(None, [self.superlink])]:
            service.stop()


def environment(root: Path) -> dict[str, str]:
    """The environment of all processes, free of settings of other Flower installations."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("FLWR_")}
    return env | {
        "PATH": os.pathsep.join([str(PROGRAMS), env.get("PATH", "")]),
        "FLWR_HOME": str(root / "flwr"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "PYTHONPATH": str(REPOSITORY),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": f"{HOST},localhost",
        "no_proxy": f"{HOST},localhost",
    }


def temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder that disappears, in memory where that can be had.

    Flower's database answers with errors when its lock is held for seconds, which a slow disk on a
    busy machine makes likely; these tests are not about the disk.
    """
    memory = Path("/dev/shm")
    place = memory if memory.is_dir() and os.access(memory, os.W_OK) else Path("/tmp")
    return tempfile.TemporaryDirectory(prefix="fedmvp-", dir=place)


def free_port() -> int:
    """A TCP port of this machine that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def events(out: Path) -> list[dict[str, Any]]:
    """The events of a run so far."""
    found = []
    with suppress(FileNotFoundError):
        for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
    return found


def ended(out: Path) -> bool:
    """Whether the last event of a run says that it has ended."""
    return any(event.get("event") == "run-end" for event in events(out)[-1:])


def rounds(out: Path) -> list[int]:
    """The rounds that a run has trained so far."""
    return [event["round"] for event in events(out) if event.get("event") == "round"]


@contextmanager
def deployed(
    root: Path,
    folders: list[Path],
    before: Callable[[Federation], None] = lambda federation: None,
) -> Iterator[Federation]:
    """A federation that is up, with all its nodes; whatever happens, it is ended.

    Args:
        root: existing empty folder.
        folders: data folder of each node.
        before: called before anything is started, to change how the nodes are.
    """
    federation = Federation(root, folders)
    before(federation)
    try:
        federation.start_superlink()
        federation.register(*federation.specs)
        for name in federation.specs:
            federation.start_node(name)
        yield federation
    finally:
        federation.stop()
        time.sleep(0.2)
