import stat
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fedmvp_flwr.simulation import environment
from fedmvp_flwr.simulation.processes import find_marked

PYPROJECT = """
[project]
name = "toy"
version = "1.0.0"
license = "Apache-2.0"

[tool.flwr.app]
publisher = "test"
fab-include = ["toy/**"]

[tool.flwr.app.components]
serverapp = "toy.server:app"
clientapp = "toy.client:app"

[tool.flwr.app.config]
num-server-rounds = 2
out-dir = ""
behaviour = "ok"
note = ""
"""

CLIENT = """
from flwr.app import Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()

@app.train()
def train(message, context):
    return Message(RecordDict({"metrics": MetricRecord({"loss": 1.0})}), reply_to=message)
"""

SERVER = """
import json, os, time
from pathlib import Path
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import ServerApp

app = ServerApp()

@app.main()
def main(grid, context):
    config = context.run_config
    out = Path(config["out-dir"])

    def emit(**event):
        with (out / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(event) + "\\n")

    if config["behaviour"] == "fail":
        print("FedMVP error: the toy was told to fail", flush=True)
        raise RuntimeError("told to fail")
    while len(nodes := sorted(grid.get_node_ids())) < 3:
        time.sleep(0.1)
    round_number = 0
    while round_number < config["num-server-rounds"] or config["behaviour"] == "endless":
        round_number += 1
        content = RecordDict({"config": ConfigRecord({"round": round_number})})
        messages = [Message(content, node, "train") for node in nodes]
        replies = [reply for reply in grid.send_and_receive(messages) if reply.has_content()]
        emit(event="round", round=round_number, clients=len(replies), cwd=os.getcwd())
        if config["behaviour"] == "endless":
            time.sleep(0.2)
    (out / "result.json").write_text(json.dumps({"status": "completed", "note": config["note"]}))
"""

FAKE_SUPERLINK = """#!{python}
import os, socket, subprocess, sys, time
port = int(sys.argv[sys.argv.index("--port") + 1])
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    server.bind(("127.0.0.1", port))
    server.listen()
except OSError:
    sys.exit("[Errno 98] error while attempting to bind: address already in use")
subprocess.Popen(["sleep", "600"], start_new_session=True)  # what Flower detaches
print("INFO Uvicorn running on", port, flush=True)
time.sleep(600)
"""

FAKE_FLWR = """#!{python}
import json, os, pathlib, sys, tomllib, time
home = pathlib.Path(os.environ["FLWR_HOME"])
command = sys.argv[1]
if command == "run":
    config = tomllib.loads(pathlib.Path(sys.argv[sys.argv.index("--run-config") + 1]).read_text())
    behaviour = config.get("behaviour", "ok")
    if behaviour == "refuse":
        print(json.dumps({{"success": False, "error-message": "the app is broken"}}))
        sys.exit(1)
    (home / "behaviour").write_text(behaviour)
    out = pathlib.Path(config["out-dir"])
    (out / "argv.json").write_text(json.dumps(sys.argv))
    (out / "metrics.jsonl").write_text('{{"event": "round", "round": 1}}\\n')
    if behaviour in ("ok", "fail"):
        status = {{"ok": "completed", "fail": "failed"}}[behaviour]
        (out / "result.json").write_text(json.dumps({{"status": status}}))
    print(json.dumps({{"success": True, "run-id": "7"}}))
elif command == "log":
    behaviour = (home / "behaviour").read_text()
    print("\\033[92mINFO\\033[0m : hello")
    if behaviour == "fail":
        print("(Actor) FedMVP error: no such flower [repeated 2x across cluster]")
        print("(Actor) FedMVP error: no such flower")
    if behaviour == "hang":
        time.sleep(600)
elif command == "list":
    failed = (home / "behaviour").read_text() in ("fail", "heartbeat")
    details = "No heartbeat received from the task" if failed else ""
    status = "finished:failed" if failed else "finished:completed"
    run = {{"status": status, "status-details": details}}
    print(json.dumps({{"success": True, "runs": [run]}}))
"""


@pytest.fixture
def toy_app(tmp_path: Path) -> Path:
    """A trivial Flower app."""
    root = tmp_path / "toy-app"
    (root / "toy").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "toy" / "__init__.py").write_text("")
    (root / "toy" / "client.py").write_text(CLIENT)
    (root / "toy" / "server.py").write_text(SERVER)
    return root


@pytest.fixture
def fake_flower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that behave like Flower's, without Flower and Ray."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("flower-superlink", FAKE_SUPERLINK), ("flwr", FAKE_FLWR)):
        path = programs / name
        path.write_text(text.format(python=sys.executable))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(environment, "find_programs", lambda: programs)
    return programs


@pytest.fixture
def left_running(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[psutil.Process]]:
    """Returns the processes that a simulation of this test has started and not ended."""
    mark = f"test-{uuid.uuid4().hex}"
    monkeypatch.setattr(environment.secrets, "token_hex", lambda size: mark)
    return lambda: find_marked(mark)
