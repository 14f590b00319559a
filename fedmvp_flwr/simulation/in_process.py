"""The same ServerApp and ClientApp in one process: no SuperLink, no Ray, no start-up time.

For experiments with many short runs, and for tests. Clients are called one after another, in the
order of their messages; what they compute is the same as under `flwr run`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.task_identity import TaskIdentity

_CLIENT_RAISED = 2  # Flower's code of an error in the ClientApp
_FIRST_NODE_ID = 101
_IN_PROCESS_ID = 1


class InProcessGrid(Grid):
    """A Grid that answers every message at once by calling the ClientApp.

    Args:
        client_app: the app of every client.
        run_config: run-config of the clients.
        node_configs: node config of each client.
    """

    def __init__(
        self,
        client_app: ClientApp,
        run_config: Mapping[str, Any],
        node_configs: Sequence[Mapping[str, Any]],
    ) -> None:
        self._app = client_app
        self._contexts = {
            node_id: Context(0, node_id, dict(node_config), RecordDict(), dict(run_config))
            for node_id, node_config in enumerate(node_configs, start=_FIRST_NODE_ID)
        }
        self._replies: dict[str, Message] = {}

    def set_run(self, run: Any) -> None:  # noqa: ANN401 - Flower's own
        """Nothing to do: there is one run."""

    @property
    def run(self) -> Any:  # noqa: ANN401 - Flower's own
        """There is no run record outside Flower."""
        raise RuntimeError("An in-process grid has no Flower run.")

    def create_message(self, *args: Any, **kwargs: Any) -> Message:  # noqa: ANN401
        """Deprecated in Flower: use `Message`."""
        raise RuntimeError("Use flwr.app.Message.")

    def get_node_ids(self) -> Iterable[int]:
        """Ids of all clients."""
        return list(self._contexts)

    def get_nodes(self) -> Iterable[Any]:
        """No further information about the nodes."""
        return []

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Call the ClientApp for each message; return the messages' ids."""
        ids = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = str(uuid4())
            context = self._contexts[message.metadata.dst_node_id]
            try:
                reply = self._app(message, context)
            except Exception as error:  # as Flower does: the error is the reply
                reply = Message(Error(_CLIENT_RAISED, f"{error!r}"), reply_to=message)
            self._replies[message.metadata.message_id] = reply
            ids.append(message.metadata.message_id)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Replies to the given messages, each once."""
        return [self._replies.pop(i) for i in list(message_ids) if i in self._replies]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Push the messages and return all replies."""
        return self.pull_messages(self.push_messages(messages))


def run_in_process(
    server_app: ServerApp,
    client_app: ClientApp,
    run_config: Mapping[str, Any],
    num_clients: int,
    node_configs: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Run a federation in this process; the ServerApp's exceptions are passed on.

    Args:
        server_app: the app of the server.
        client_app: the app of every client.
        run_config: run-config of all of them.
        num_clients: number of clients; client i has partition-id i.
        node_configs: node config of each client, instead.
    """
    # Flower 1.41 stamps every message with the identity of the process's task.
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = _IN_PROCESS_ID
    parts = [{"partition-id": i, "num-partitions": num_clients} for i in range(num_clients)]
    grid = InProcessGrid(client_app, run_config, node_configs or parts)
    server_app(grid, Context(0, 0, {}, RecordDict(), dict(run_config)))
