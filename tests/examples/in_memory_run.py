"""Run the example's ServerApp and ClientApp in one process: `in_memory_run.py ORDERS.json`.

Each order holds `out`, `num-clients`, `run-config` (overrides) and `anonymous` (indices of nodes
that were started without --node-config). How it ended goes to `out`/outcome.json.
"""

import copy
import json
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import digits_app
from digits_app.client_app import app as client_app
from digits_app.server_app import app as server_app
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

import fedmvp_flwr
from fedmvp_flwr.aggregation.checkpoint import CheckpointStore

_CLIENT_RAISED = 2  # Flower's ErrorCode.CLIENT_APP_RAISED_EXCEPTION
_SERVER = 1  # Flower's node id, run id and task id alike
_FIRST_NODE_ID = 1000  # node ids are no partition-ids


class InMemoryGrid(Grid):
    """Calls the ClientApp at once for every message; an exception becomes an error reply."""

    def __init__(self, app: ClientApp, contexts: dict[int, Context]) -> None:
        self._app = app
        self._contexts = contexts
        self._sent = 0

    def get_node_ids(self) -> Iterable[int]:
        return list(self._contexts)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        return [self._deliver(message) for message in reversed(list(messages))]

    def _deliver(self, message: Message) -> Message:
        self._sent += 1
        message.metadata.__dict__["_message_id"] = f"message-{self._sent}"
        received = copy.deepcopy(message)
        try:
            return self._app(received, self._contexts[message.metadata.dst_node_id])
        except Exception as error:
            return Message(Error(_CLIENT_RAISED, repr(error)), reply_to=received)

    def set_run(self, run: Any) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Any:
        raise NotImplementedError

    def create_message(self, *args: Any, **kwargs: Any) -> Message:
        raise NotImplementedError

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise NotImplementedError


def _checkpoint(out: Path) -> dict[str, Any]:
    checkpoint = CheckpointStore(out / "checkpoints").latest()
    arrays = {name: [list(t.shape), str(t.dtype)] for name, t in checkpoint.tensors.items()}
    return {"round": checkpoint.server_round, "arrays": arrays}


def run(order: dict[str, Any]) -> None:
    out = Path(order["out"])
    pyproject = Path(digits_app.__file__).parents[1] / "pyproject.toml"
    defaults = tomllib.loads(pyproject.read_text())["tool"]["flwr"]["app"]["config"]
    config = {**defaults, **order["run-config"], "out-dir": str(out)}

    def context(node: int, node_config: dict[str, Any]) -> Context:
        return Context(_SERVER, node, node_config, RecordDict(), config)

    clients = order["num-clients"]
    contexts = {
        _FIRST_NODE_ID + index: context(
            _FIRST_NODE_ID + index,
            {}
            if index in order["anonymous"]
            else {"partition-id": index, "num-partitions": clients},
        )
        for index in range(clients)
    }
    error = None
    try:
        server_app(InMemoryGrid(client_app, contexts), context(_SERVER, {}))
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    outcome = {
        "error": error,
        "library": fedmvp_flwr.__file__,
        "modules": sorted(sys.modules),
        "checkpoint": _checkpoint(out) if error is None else None,
    }
    (out / "outcome.json").write_text(json.dumps(outcome))


if __name__ == "__main__":
    # Flower's processes set these before they load an app; a new message reads them.
    TaskIdentity.node_id = TaskIdentity.run_id = TaskIdentity.task_id = _SERVER
    for order in json.loads(Path(sys.argv[1]).read_text()):
        run(order)
