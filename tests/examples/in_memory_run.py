"""Run the example's ServerApp and ClientApp in one process: `in_memory_run.py ORDERS.json`.

Each order holds `out`, `num-clients`, `run-config` (overrides) and `failing` (partition-ids of
clients that raise when they are to train). How it ended goes to `out`/outcome.json.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import digits_app
from digits_app.client_app import app as client_app
from digits_app.server_app import app as server_app
from flwr.app import Context, Message, MessageType

import fedmvp_flwr
from fedmvp_flwr.aggregation.checkpoint import CheckpointStore
from fedmvp_flwr.simulation.in_process import run_in_process


def run(order: dict[str, Any]) -> None:
    out = Path(order["out"])
    pyproject = Path(digits_app.__file__).parents[1] / "pyproject.toml"
    defaults = tomllib.loads(pyproject.read_text())["tool"]["flwr"]["app"]["config"]
    config = {**defaults, **order["run-config"], "out-dir": str(out)}

    def answer(message: Message, context: Context) -> Message:
        to_train = message.metadata.message_type == MessageType.TRAIN
        if to_train and context.node_config["partition-id"] in order["failing"]:
            raise OSError("the disk is on fire")
        return client_app(message, context)

    error = None
    try:
        run_in_process(server_app, answer, config, order["num-clients"])
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    outcome = {
        "error": error,
        "library": fedmvp_flwr.__file__,
        "modules": sorted(sys.modules),
        "checkpoint": _checkpoint(out) if error is None else None,
    }
    (out / "outcome.json").write_text(json.dumps(outcome))


def _checkpoint(out: Path) -> dict[str, Any]:
    checkpoint = CheckpointStore(out / "checkpoints").latest()
    arrays = {name: [list(t.shape), str(t.dtype)] for name, t in checkpoint.tensors.items()}
    return {"round": checkpoint.server_round, "arrays": arrays}


if __name__ == "__main__":
    for order in json.loads(Path(sys.argv[1]).read_text()):
        run(order)
