"""Who is who: node ids are random, so nodes are known by a key that they tell once.

In a simulation the key is the partition-id. Sorting and sampling by it is what makes two runs
with the same seed choose the same clients.
"""

import time
from collections.abc import Iterable
from logging import INFO, WARNING

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.logger import log
from flwr.serverapp import Grid

from fedmvp_flwr.errors import RoundError

IDENTITY_ACTION = "identity"
IDENTITY_MESSAGE = f"query.{IDENTITY_ACTION}"
PARTITION_ID = "partition-id"
_POLL = 0.5  # seconds between two looks at the connected nodes


def register_identity(app: ClientApp) -> None:
    """Let a ClientApp tell its partition-id to `FedMVP`; one line in any project."""

    @app.query(IDENTITY_ACTION)
    def identity(message: Message, context: Context) -> Message:
        record = ConfigRecord()
        if PARTITION_ID in context.node_config:
            record[PARTITION_ID] = int(context.node_config[PARTITION_ID])
        return Message(RecordDict({"identity": record}), reply_to=message)


class NodeRegistry:
    """Remembers the key of every node that ever connected.

    A node that tells no partition-id is known by its node id; the choice of clients is then not
    reproducible, and the log says so.
    """

    def __init__(self) -> None:
        self._keys: dict[int, int] = {}

    def key(self, node_id: int) -> int:
        """The node's key; its node id if it was never asked."""
        return self._keys.get(node_id, node_id)

    def connected(self, grid: Grid, minimum: int, timeout: float) -> list[int]:
        """Ids of the connected nodes, ordered by key, once there are `minimum` of them.

        Raises:
            RoundError: fewer nodes after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        announced = -1
        while len(node_ids := list(grid.get_node_ids())) < minimum:
            if time.monotonic() > deadline:
                raise RoundError(
                    f"Only {len(node_ids)} of at least {minimum} nodes connected within "
                    f"{timeout:g} s. Start more nodes, or lower the minimum."
                )
            if len(node_ids) != announced:
                announced = len(node_ids)
                log(INFO, "Waiting for nodes: %d of at least %d.", announced, minimum)
            time.sleep(_POLL)
        unknown = [node_id for node_id in node_ids if node_id not in self._keys]
        if unknown:
            known = {self._keys[n] for n in node_ids if n in self._keys}
            self._ask(grid, unknown, known, timeout)
        return sorted(node_ids, key=self.key)

    def _ask(self, grid: Grid, node_ids: list[int], taken: set[int], timeout: float) -> None:
        messages = [
            Message(RecordDict(), node_id, IDENTITY_MESSAGE) for node_id in sorted(node_ids)
        ]
        replies = list(grid.send_and_receive(messages, timeout=timeout))
        told = dict(_identities(replies))
        silent = set(node_ids) - {reply.metadata.src_node_id for reply in replies}
        for node_id in sorted(node_ids):
            key = told.get(node_id)
            if key is None or key in taken:
                why = "told no partition-id" if key is None else f"told partition-id {key}, taken"
                why = f"did not answer within {timeout:g} s" if node_id in silent else why
                log(WARNING, "Node %d %s: sampling is not reproducible.", node_id, why)
                if node_id in silent:
                    continue  # it is asked again in the next round
                key = node_id
            taken.add(key)
            self._keys[node_id] = key


def _identities(replies: Iterable[Message]) -> Iterable[tuple[int, int]]:
    for reply in replies:
        if reply.has_error():
            continue
        for record in reply.content.config_records.values():
            value = record.get(PARTITION_ID)
            if isinstance(value, int):
                yield reply.metadata.src_node_id, value
