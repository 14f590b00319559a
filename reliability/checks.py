"""What a guide promises, looked at while it is run: the checks between its blocks."""

import hashlib
import json
import socket
import ssl
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from reliability.blocks import GuideError
from reliability.federation import PROGRAMS, environment, events, rounds
from reliability.guide_machines import Guide
from reliability.outcome import newest_checkpoint
from reliability.processes import wait_for
from reliability.proxy import HOST

_TIMEOUT = 600.0  # seconds; generous, for machines that are busy
_REFUSED_TIMEOUT = 300.0
_SLOW_POLL = 5.0  # seconds; each question to the SuperLink costs a second of CPU
_RESULTS = ("model.safetensors", "metrics.jsonl", "result.json", "report.html")


def online(guide: Guide, number: str) -> None:
    """Wait until so many nodes are online."""

    def there() -> bool:
        nodes = _ask(guide, "supernode", "list", "fedmvp").get("nodes", [])
        return sum(node["status"] == "online" for node in nodes) == int(number)

    wait_for(f"{number} nodes online", there, _TIMEOUT, _SLOW_POLL)


def trained(guide: Guide, run: str, number: str) -> None:
    """Wait until a run has trained so many rounds, and has a checkpoint of them."""
    out = guide.results(run)

    def there() -> bool:
        _still_going(guide, run)
        return newest_checkpoint(out) >= int(number)

    wait_for(f"round {number} of the run '{run}'", there, _TIMEOUT)


def kill(guide: Guide, name: str) -> None:
    """End a service as a crash of its machine would; it is started again as a service is.

    What was going on with its help, such as a `flwr run --stream`, fails with it: that is expected.
    """
    guide.services[name].kill()
    for job in [n for n in guide.services if guide.blocks[n][1].kind == "job"]:
        guide.services.pop(job).stop()


def stop(guide: Guide, name: str) -> None:
    """End a service as its user does."""
    guide.services[name].stop()


def again(guide: Guide, name: str) -> None:
    """Start a service again that was ended."""
    guide.start(name)


def refused(guide: Guide, name: str, *words: str) -> None:
    """A service that is started now ends with an error that says so."""
    said = " ".join(words)
    service = guide.start(name, restart=False)
    try:
        wait_for("the refusal", lambda: service.code is not None, _REFUSED_TIMEOUT)
    finally:
        service.stop()
    if not service.code or said not in service.text():
        raise GuideError(f"exit status {service.code}, without '{said}'")


def clients(guide: Guide, run: str, *names: str) -> None:
    """Wait for a round that is trained by these nodes and by no other."""
    began = len(rounds(guide.results(run)))

    def seen() -> bool:
        _still_going(guide, run)
        found = _clients_of_rounds(guide.results(run))[began:]
        return any(round_clients == set(names) for round_clients in found)

    wait_for(f"a round with {', '.join(names)}", seen, _TIMEOUT)


def resumed(guide: Guide, run: str, *names: str) -> None:
    """Wait until a run has gone on after its last round, with these nodes."""
    out = guide.results(run)

    def went_on() -> bool:
        last = [event["event"] for event in events(out)]
        return "run-resume" in last and "round" in last[last.index("run-resume") :]

    wait_for(f"the run '{run}' to go on", went_on, _TIMEOUT)
    clients(guide, run, *names)
    numbers = rounds(out)
    if numbers != list(range(1, len(numbers) + 1)):
        raise GuideError(f"the rounds in metrics.jsonl are {numbers}")


def completed(guide: Guide, run: str, number: str) -> None:
    """A run has ended well after so many rounds, and its results are there."""
    out = guide.results(run)
    missing = [name for name in _RESULTS if not (out / name).is_file()]
    result: dict[str, Any] = {}
    with suppress(FileNotFoundError, ValueError):
        result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    newest = _ask(guide, "list", "fedmvp")["runs"][0]
    if newest["status"] != "finished:completed" or result.get("status") != "completed":
        raise GuideError(f"Flower: {newest}, result.json: {result.get('status')}")
    if rounds(out) != list(range(1, int(number) + 1)):
        raise GuideError(f"the rounds in metrics.jsonl are {rounds(out)}")
    if min(map(len, _clients_of_rounds(out))) < 2:
        raise GuideError(f"clients by round: {_clients_of_rounds(out)}")
    if missing:
        raise GuideError(f"{out.name} lacks {', '.join(missing)}")


def renewed(guide: Guide) -> None:
    """The SuperLink shows the certificate that lies at the server now."""
    secrets = guide.folders["server"] / "secrets"
    context = ssl.create_default_context(cafile=str(secrets / "ca.crt"))
    with (
        socket.create_connection((HOST, guide.port), timeout=30.0) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as link,
    ):
        shown = link.getpeercert(binary_form=True)
    lies = ssl.PEM_cert_to_DER_cert((secrets / "server.pem").read_text(encoding="ascii"))
    if shown is None or hashlib.sha256(shown).digest() != hashlib.sha256(lies).digest():
        raise GuideError("the SuperLink shows another certificate than server.pem")


CHECKS: dict[str, Callable[..., None]] = {
    "online": online,
    "rounds": trained,
    "kill": kill,
    "stop": stop,
    "again": again,
    "refused": refused,
    "clients": clients,
    "resumed": resumed,
    "completed": completed,
    "renewed": renewed,
}


def _still_going(guide: Guide, run: str) -> None:
    """Raise if what is waited for will never come."""
    for name, service in guide.services.items():
        if service.code and not service.restart and guide.blocks[name][1].kind == "job":
            raise GuideError(f"'{name}' ended with {service.code}: {service.text()[-2000:]}")
    ends = [event for event in events(guide.results(run)) if event["event"] == "run-end"]
    if ends:
        raise GuideError(f"the run '{run}' has ended: {ends[-1]}")


def _clients_of_rounds(out: Path) -> list[set[str]]:
    """By round of a run: the names of the nodes whose replies counted."""
    names: dict[int, str] = {}
    found = []
    for event in events(out):
        if event.get("event") == "client":
            names[event["partition-id"]] = event["name"]
        if event.get("event") == "round":
            found.append({names.get(key, str(key)) for key in event["clients"]})
    return found


def _ask(guide: Guide, *arguments: str) -> dict[str, Any]:
    """A question to the SuperLink; empty if it cannot answer now."""
    env = environment(guide.root) | {"FLWR_HOME": str(guide.folders["server"] / "cli")}
    command = [str(PROGRAMS / "flwr"), *arguments, "--format", "json"]
    done = subprocess.run(
        command,
        cwd=guide.root,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    with suppress(ValueError):
        answer = json.loads(done.stdout)
        if isinstance(answer, dict) and answer.get("success"):
            return answer
    return {}
