"""A question to clients, and whose replies answer it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from logging import WARNING

from flwr.app import ArrayRecord, Message
from flwr.common.logger import log

from fedmvp_flwr.aggregation.replies import Rejection

Key = Callable[[int], int]
"""From a node id to the key of its client."""


@dataclass(frozen=True)
class Question:
    """What clients are asked in a round.

    Attributes:
        server_round: 1-based; 0: nobody was asked yet.
        attempt: counted from 0.
        arrays: the global arrays, as they are.
        messages: one for each client that is asked.
        bytes: of the arrays on the wire.
        sent_at: time of `time.monotonic`.
    """

    server_round: int = 0
    attempt: int = 0
    arrays: ArrayRecord = field(default_factory=ArrayRecord)
    messages: tuple[Message, ...] = ()
    bytes: int = 0
    sent_at: float = 0.0

    def answers(
        self, replies: Iterable[Message], key_of: Key
    ) -> tuple[list[tuple[int, Message]], list[Rejection]]:
        """Client key and reply, one for each client that answered, and who did not.

        Flower attributes the error of a dead node to another node, so what counts is the message
        that a reply answers. A second answer to the same one is left out.
        """
        asked = {m.metadata.message_id: m.metadata.dst_node_id for m in self.messages}
        known: dict[str, tuple[int, Message]] = {}
        for reply in replies:
            message_id = reply.metadata.reply_to_message_id
            key = key_of(asked.get(message_id, reply.metadata.src_node_id))
            if message_id in known:
                log(WARNING, "A second reply of client %d is left out.", key)
            else:
                known[message_id] = (key, reply)
        answered = {client for client, _ in known.values()}
        expected = sorted(key_of(message.metadata.dst_node_id) for message in self.messages)
        silent = [c for c in expected if c not in answered]
        return list(known.values()), [Rejection(c, "no reply within the timeout") for c in silent]
