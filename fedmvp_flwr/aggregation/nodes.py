"""Who is who: node ids are random, so nodes are known by a key that they tell once.

In a simulation the key is the partition-id. Sorting and sampling by it is what makes two runs
with the same seed choose the same clients.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from logging import INFO, WARNING
from typing import Any

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.logger import log
from flwr.serverapp import Grid

from fedmvp_flwr.base.errors import RoundError

Admit = Callable[[Grid, Sequence[int]], Sequence[int]]
"""From the connected nodes to those that may take part now."""

IDENTITY_ACTION = "identity"
IDENTITY_MESSAGE = f"query.{IDENTITY_ACTION}"
PARTITION_ID = "partition-id"
NODE_NAME = "name"
_POLL = 0.5  # seconds between two looks at the connected nodes


def register_identity(app: ClientApp) -> None:
    """Let a ClientApp tell `FedMVP` its partition-id or name; one line in any project."""

    @app.query(IDENTITY_ACTION)
    def identity(message: Message, context: Context) -> Message:
        record = ConfigRecord(identity_fields(context.node_config))
        return Message(RecordDict({"identity": record}), reply_to=message)


def identity_fields(node_config: Mapping[str, Any]) -> dict[str, Any]:
    """What a node tells of itself: its partition-id or else its name, where it has one."""
    if PARTITION_ID in node_config:
        return {PARTITION_ID: int(node_config[PARTITION_ID])}
    return {NODE_NAME: str(node_config[NODE_NAME])} if node_config.get(NODE_NAME) else {}


class NodeRegistry:
    """Remembers the key of every node that ever connected.

    The key is the partition-id that the node tells. A node that tells a name instead gets the
    smallest free number, those that are asked together in the order of their names. A node that
    tells neither is known by its node id: a run on other node ids then chooses other clients, and
    the log says so.

    Args:
        names: keys of the nodes that told a name, of the earlier run whose keys are to be kept.
    """

    def __init__(self, names: Mapping[str, int] | None = None) -> None:
        self._keys: dict[int, int] = {}
        self.names = dict(names or {})

    def key(self, node_id: int) -> int:
        """The node's key; its node id if it was never asked."""
        return self._keys.get(node_id, node_id)

    def connected(
        self, grid: Grid, minimum: int, timeout: float, admit: Admit | None = None
    ) -> list[int]:
        """Ids of the nodes that may take part, ordered by key, once there are `minimum` of them.

        Args:
            grid: where the nodes are.
            minimum: number of nodes to wait for.
            timeout: seconds to wait.
            admit: called with the connected nodes; returns those that may take part.

        Raises:
            RoundError: fewer nodes after `timeout` seconds.
        """
        node_ids = self.present(grid, minimum, timeout, admit)
        self.identify(grid, node_ids, timeout)
        return sorted(node_ids, key=self.key)

    def present(
        self, grid: Grid, minimum: int, timeout: float, admit: Admit | None = None
    ) -> list[int]:
        """The same in any order, without asking the nodes who they are."""
        deadline = time.monotonic() + timeout
        announced = -1
        while len(node_ids := _admitted(grid, admit)) < minimum:
            if time.monotonic() > deadline:
                raise RoundError(
                    f"Only {len(node_ids)} of at least {minimum} nodes connected within "
                    f"{timeout:g} s. Start more nodes, or lower the minimum."
                )
            if len(node_ids) != announced:
                announced = len(node_ids)
                log(INFO, "Waiting for nodes: %d of at least %d.", announced, minimum)
            time.sleep(_POLL)
        return node_ids

    def identify(self, grid: Grid, node_ids: Iterable[int], timeout: float) -> None:
        """Ask those of the connected nodes for their keys that were not asked before."""
        node_ids = set(node_ids)
        unknown = node_ids - self._keys.keys()
        if not unknown:
            return
        messages = [Message(RecordDict(), node_id, IDENTITY_MESSAGE) for node_id in sorted(unknown)]
        replies = list(grid.send_and_receive(messages, timeout=timeout))
        silent = unknown - {reply.metadata.src_node_id for reply in replies}
        for node_id in sorted(silent):  # it is asked again in the next round
            _warn(node_id, "did not answer in time")
        self.learn(dict(identities(replies)), node_ids - silent)

    def learn(self, told: Mapping[int, int | str], node_ids: Iterable[int]) -> None:
        """Give keys to those of the connected nodes that have none.

        Args:
            told: partition-id or name, by node id; a node that told neither is left out.
            node_ids: all connected nodes that are to be told apart.
        """
        node_ids = set(node_ids)
        unknown = node_ids - self._keys.keys()
        taken = {self._keys[node_id] for node_id in node_ids - unknown}
        # Names last: a number for a name must not be the partition-id of another node.
        named = sorted((str(told[n]), n) for n in unknown if isinstance(told.get(n), str))
        for node_id in sorted(unknown - {n for _, n in named}) + [n for _, n in named]:
            self._choose_key(node_id, told.get(node_id), taken)
            taken.add(self._keys[node_id])

    def _choose_key(self, node_id: int, told: int | str | None, taken: set[int]) -> None:
        """Set the node's key, and say what is wrong with what it told."""
        key = told
        if isinstance(told, str):
            used = taken | {*self.names.values(), *self._keys.values()}
            free = next(number for number in count() if number not in used)
            key = self.names.setdefault(told, free)
        if isinstance(key, int) and key not in taken:
            self._keys[node_id] = key
            return
        self._keys[node_id] = node_id
        if told is None:
            _warn(node_id, "told no partition-id and no name")
        else:
            kind = "name" if isinstance(told, str) else "partition-id"
            _warn(node_id, f"told {kind} {told}, taken")


def _warn(node_id: int, why: str) -> None:
    log(WARNING, "Node %d %s: sampling is not reproducible.", node_id, why)


def _admitted(grid: Grid, admit: Admit | None) -> list[int]:
    node_ids = list(grid.get_node_ids())
    return list(admit(grid, node_ids)) if admit else node_ids


def identities(replies: Iterable[Message]) -> Iterable[tuple[int, int | str]]:
    """Node id and partition-id, or name, of each reply that tells one."""
    for reply in replies:
        if reply.has_error():
            continue
        for record in reply.content.config_records.values():
            partition, name = record.get(PARTITION_ID), record.get(NODE_NAME)
            if isinstance(partition, int) and not isinstance(partition, bool):
                yield reply.metadata.src_node_id, partition
            elif isinstance(name, str):
                yield reply.metadata.src_node_id, name
