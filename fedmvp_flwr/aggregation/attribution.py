"""Which client a reply comes from, and which clients have not replied."""

from collections.abc import Callable, Sequence
from logging import WARNING

from flwr.app import Message
from flwr.common.logger import log

from fedmvp_flwr.aggregation.replies import Rejection

Key = Callable[[int], int]
"""From a node id to the key of its client."""


def by_question(
    replies: Sequence[Message], instructions: Sequence[Message], key_of: Key
) -> list[tuple[int, Message]]:
    """Client key and reply, one for each instruction that was answered.

    Flower attributes the error of a dead node to another node, so what counts is the instruction
    that a reply answers. A second answer to the same one is left out.
    """
    sent = {m.metadata.message_id: m.metadata.dst_node_id for m in instructions}
    known: dict[str, tuple[int, Message]] = {}
    for reply in replies:
        question = reply.metadata.reply_to_message_id
        key = key_of(sent.get(question, reply.metadata.src_node_id))
        if question in known:
            log(WARNING, "A second reply of client %d is left out.", key)
        else:
            known[question] = (key, reply)
    return list(known.values())


def unanswered(
    known: Sequence[tuple[int, Message]], instructions: Sequence[Message], key_of: Key
) -> list[Rejection]:
    """A rejection for each client that was asked and did not reply, ordered by client."""
    answered = {client for client, _ in known}
    expected = sorted(key_of(message.metadata.dst_node_id) for message in instructions)
    return [Rejection(c, "no reply within the timeout") for c in expected if c not in answered]
