"""Seconds from a message to its reply in a fresh process, as a deployed node starts one.

Command: `python -m benchmarks.message`. Printed: the bare import of torch, and what the app needs
beyond it: imports, prepared features, network, reply. Training itself is measured apart.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from reliability.flora import export, settings

_REPEATS = 5
_CHILD = """
import json, sys, time
began = time.perf_counter()
import torch
torch_at = time.perf_counter()
spec = json.loads(sys.argv[1])
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity
TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
from client_app.app import app
imported_at = time.perf_counter()
config = {"server-round": 1, "class-names": spec["classes"]}
content = RecordDict({"config": ConfigRecord(config)})
if spec["type"] == "train":
    import fedmvp_flwr.model.training as training
    import client_app.app as module
    seconds = 0.0
    def timed(*arguments):
        global seconds
        start = time.perf_counter()
        result = training.train(*arguments)
        seconds = time.perf_counter() - start
        return result
    module.train = timed
    content["arrays"] = spec_arrays(spec)
message = Message(content, 7, spec["type"])
message.metadata.__dict__["_message_id"] = "m"
context = Context(1, 7, spec["node"], RecordDict(), spec["run"])
reply = app(message, context)
assert not reply.has_error(), reply
done_at = time.perf_counter()
trained = seconds if spec["type"] == "train" else 0.0
print(json.dumps({
    "torch": torch_at - began, "imports": imported_at - torch_at,
    "work": done_at - imported_at - trained, "training": trained,
}))
"""
_ARRAYS = """
def spec_arrays(spec):
    from fedmvp_flwr.base.tensor_file import load_tensors
    from fedmvp_flwr.aggregation.wire import pack
    from pathlib import Path
    return pack(load_tensors(Path(spec["arrays"]))[0], "fp16")
"""


def main() -> None:
    """Prepare one node, then answer a training message in fresh processes."""
    with tempfile.TemporaryDirectory(prefix="fedmvp-") as temporary:
        root = Path(temporary)
        folders = export(root / "data")
        node = {"data-path": str(folders[0]), "cache-dir": str(root / "cache"), "name": "node-0"}
        run = settings(root, folders)
        lines = (folders[0].parent / "class-names.txt").read_text().splitlines()
        spec = {"type": "query.prepare", "node": node, "run": run}
        spec |= {"classes": [line.partition("\t")[0] for line in lines]}
        child(spec)
        spec |= {"type": "train", "arrays": str(initial_arrays(root, spec))}
        rows = [child(spec) for _ in range(_REPEATS)]
        beyond = sorted(row["imports"] + row["work"] for row in rows)
        print(json.dumps({"median-beyond-torch": beyond[_REPEATS // 2], "runs": rows}, indent=2))


def child(spec: dict[str, object]) -> dict[str, float]:
    """Answer one message in a process of its own."""
    command = [sys.executable, "-c", _ARRAYS + _CHILD, json.dumps(spec)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def initial_arrays(root: Path, spec: dict[str, object]) -> Path:
    """Write a network for the features of the prepared node."""
    from fedmvp_flwr.base.tensor_file import save_tensors
    from fedmvp_flwr.client.work import client_data
    from fedmvp_flwr.config import RunConfig
    from fedmvp_flwr.config.node import read_node
    from fedmvp_flwr.model.network import FedMVPNetwork

    config = RunConfig.from_run_config(spec["run"])
    classes = spec["classes"]
    data = client_data(config, read_node(spec["node"], config.run), classes)
    path = root / "initial.safetensors"
    widths = data.train_set.real.widths
    network = FedMVPNetwork(config.training, widths, len(classes))
    save_tensors(path, network.state_dict(), {})
    return path


if __name__ == "__main__":
    main()
