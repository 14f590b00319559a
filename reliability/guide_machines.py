"""The machines of a guide, each a folder of this machine, and what runs on them."""

import shlex
from pathlib import Path

from fedmvp_flwr.simulation.environment import MARK
from fedmvp_flwr.simulation.processes import stop_marked
from reliability.blocks import Block, GuideError, Names
from reliability.federation import REPOSITORY, environment, free_port
from reliability.processes import Service, wait_for
from reliability.proxy import HOST

PREFIX = "/srv/fedmvp"

_TAIL = 40  # lines of each log
COMMAND_TIMEOUT = 900.0  # seconds; a run that is waited for is a command


class Guide:
    """The machines of a guide below one folder.

    Args:
        root: existing empty folder, with a short path.
        machines: their names.
    """

    def __init__(self, root: Path, machines: list[str]) -> None:
        self.root = root
        self.port = free_port()
        self.folders = {name: root / name for name in machines}
        for folder in self.folders.values():
            folder.mkdir()
        self.names = Names(
            PREFIX,
            {name: str(folder) for name, folder in self.folders.items()},
            {"superlink.example": "localhost", ":8000": f":{self.port}"},
        )
        self.services: dict[str, Service] = {}
        self.blocks: dict[str, tuple[str, Block]] = {}
        """By service: its machine and its block, to start it again."""
        self.commands = 0
        self._shells = {name: (REPOSITORY, self._environment(name)) for name in machines}

    def run(self, block: Block) -> None:
        """Run a block on its machines.

        Raises:
            GuideError: a command failed, or did not end.
        """
        for machine in block.machines:
            name = block.name or machine
            if block.kind == "command":
                self._command(machine, block)
            else:
                self.blocks[name] = (machine, block)
                self.start(name)

    def start(self, name: str, *, restart: bool = True) -> Service:
        """Start a service or job in a shell of its own.

        Args:
            name: of the service.
            restart: whether it is started again when it ends; a job never is.
        """
        machine, block = self.blocks[name]
        folder, env = REPOSITORY, self._environment(machine)
        if block.kind == "job":  # in the shell of the commands
            folder, env = self._shells[machine]
        # The ports that a machine would have to itself.
        ports = {"FEDMVP_PORT": str(self.port), "FEDMVP_NODE_PORT": str(free_port())}
        env = env | ports | {"FEDMVP_HOST": HOST}
        log = self.root / f"{name}.log"
        keep = restart and block.kind == "service"
        service = Service(name, self._shell(machine, block, folder), env, log, restart=keep)
        self.services[name] = service
        return service

    def _command(self, machine: str, block: Block) -> None:
        self.commands += 1
        folder, env = self._shells[machine]
        state = self.root / "shell-state"
        log = self.root / f"{self.commands:02}-{machine}.log"
        ends = f"env -0 > {state}; pwd >> {state}\n"
        service = Service(f"line {block.line}", self._shell(machine, block, folder, ends), env, log)
        try:
            what = f"line {block.line} of the guide on {machine}"
            wait_for(what, lambda: service.code is not None, COMMAND_TIMEOUT, 0.1)
        finally:
            service.stop()
        print(service.text(), end="", flush=True)
        if service.code:
            raise GuideError(
                f"line {block.line} on {machine} ended with {service.code}:\n{service.text()}"
            )
        *pairs, place = state.read_text(encoding="utf-8").split("\0")
        # The next commands for this machine are pasted into the same shell.
        self._shells[machine] = (Path(place.strip()), dict(p.split("=", 1) for p in pairs))

    def _shell(self, machine: str, block: Block, folder: Path, ends: str = "") -> list[str]:
        begins = f"set -euo pipefail\ncd {shlex.quote(str(folder))}\n"
        return ["bash", "-c", begins + self.names.on(machine, block) + ends]

    def _environment(self, machine: str) -> dict[str, str]:
        env = environment(self.root) | {"HOME": str(self.folders[machine]), MARK: str(self.root)}
        del env["FLWR_HOME"]  # the scripts and the guide choose it
        return env

    def results(self, name: str) -> Path:
        """The folder of a run's results."""
        return self.folders["server"] / "results" / name

    def stop(self) -> None:
        """End everything: the nodes first, as Flower wants it."""
        for service in self.services.values():
            service.restart = False
        for service in sorted(self.services.values(), key=lambda s: s.name == "superlink"):
            service.stop()
        # What a command has started in the background and nobody has seen as a service.
        stop_marked(str(self.root))

    def tails(self) -> str:
        """The ends of the logs of all that was kept up."""
        return "".join(
            f"--- {name} (started {s.starts} x, exit status {s.code})\n"
            + "".join(f"{line}\n" for line in s.text().splitlines()[-_TAIL:])
            for name, s in self.services.items()
        )
