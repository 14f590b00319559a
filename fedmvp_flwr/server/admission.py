"""Which nodes may take part: those that have prepared their samples, and whose features fit.

Nodes are asked when they are first seen, also in the middle of a run. One that fails, refuses or
does not answer is left out and asked again later; it holds up nobody.
"""

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from logging import INFO, WARNING
from typing import Any

from flwr.app import Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.common.logger import log
from flwr.serverapp import Grid

from fedmvp_flwr.aggregation.nodes import NodeRegistry, identities
from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.files import record_hash
from fedmvp_flwr.protocol.messages import PREPARE_MESSAGE, PROBLEM, SUMMARY
from fedmvp_flwr.protocol.summary import Summary, read_summary

_POLL = 0.5  # seconds
_ASK_AGAIN = 60.0  # seconds after a refusal
_ASK_LOST_AGAIN = 5.0  # seconds after a node could not be reached, as after a SuperLink's restart
_LONGEST_REASON = 500  # characters; what a node says is not trusted


@dataclass
class Admission:
    """Asks nodes to prepare, and remembers the answers.

    Attributes:
        nodes: knows the nodes' keys.
        request: content of the message that asks a node to prepare.
        check: called with a summary; returns why the node may not take part, or nothing.
        tell: called with `client` and the summary of each node that may take part from now on,
            whose `partition-id` is its key, and with `client-refused`, key and reason of others.
    """

    nodes: NodeRegistry
    request: RecordDict
    check: Callable[[Summary], str | None]
    tell: Callable[[str, Mapping[str, Any]], None]
    summaries: dict[int, Summary] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    _pending: dict[str, int] = field(default_factory=dict)
    _asked_at: dict[int, float] = field(default_factory=dict)
    _answers: dict[int, Summary | str] = field(default_factory=dict)
    _told: dict[int, int | str] = field(default_factory=dict)
    _lost: dict[int, str] = field(default_factory=dict)

    def admit(self, grid: Grid, node_ids: Sequence[int]) -> list[int]:
        """Those of the connected nodes that may take part; asks the others, without waiting."""
        self.collect(grid)
        self.settle(node_ids)
        self.ask(grid, node_ids)
        return [node_id for node_id in node_ids if node_id in self.summaries]

    def ask(self, grid: Grid, node_ids: Sequence[int]) -> None:
        """Send the request to the nodes that are not ready and were not asked lately."""
        now = time.monotonic()
        waiting = set(self._pending.values())
        asked = [
            node_id
            for node_id in node_ids
            if node_id not in self.summaries
            and node_id not in waiting
            and now - self._asked_at.get(node_id, -_ASK_AGAIN) >= _ASK_AGAIN
        ]
        messages = [Message(self.request, node_id, PREPARE_MESSAGE) for node_id in asked]
        if messages:
            ids = grid.push_messages(messages)  # in this order; None where a node has just gone
            self._pending.update({i: n for i, n in zip(ids, asked, strict=False) if i})
            self._asked_at.update(dict.fromkeys(asked, now))

    def collect(self, grid: Grid) -> None:
        """Fetch the answers that have come; `settle` takes them in."""
        if not self._pending:
            return
        replies = list(grid.pull_messages(list(self._pending)))
        self._told.update(identities(replies))
        for reply in replies:
            # By what it replies to: Flower attributes the error of a dead node to another one.
            node_id = self._pending.pop(reply.metadata.reply_to_message_id, None)
            if node_id is None:
                continue
            if reply.has_error() and reply.error.code == ErrorCode.NODE_UNAVAILABLE:
                self._lost[node_id] = "it could not be reached"
                self._asked_at[node_id] = time.monotonic() - _ASK_AGAIN + _ASK_LOST_AGAIN
                log(WARNING, "Node %d could not be reached; it is asked again.", node_id)
            else:
                self._lost.pop(node_id, None)
                self._answers[node_id] = read_answer(reply)

    def settle(self, connected: Collection[int]) -> None:
        """Give keys to the nodes that have answered, all at once, and take in their answers.

        A node that comes back with a new registration, and so with a new id, gets its key again:
        the old id is not connected any more.
        """
        answers, self._answers = self._answers, {}
        there = [n for n in self.summaries if n in connected]
        self.nodes.learn(self._told, [*there, *(self._told.keys() & answers.keys())])
        for node_id in sorted(answers, key=self.nodes.key):
            self._take_in(node_id, answers[node_id])

    def wait(self, grid: Grid, minimum: int, timeout: float) -> list[Summary]:
        """Wait until every node that was asked has answered.

        If too few are ready then, nodes that could not be reached are asked again and waited for.

        Args:
            grid: where the nodes are.
            minimum: this many must be ready; 0: every one.
            timeout: seconds; afterwards those count that are ready.

        Returns:
            The summaries, ordered by key.

        Raises:
            DataError: too few nodes are ready; says what is wrong with every other one.
        """
        deadline = time.monotonic() + timeout
        self.collect(grid)
        while (self._pending or self._misses(minimum)) and time.monotonic() < deadline:
            time.sleep(_POLL)
            present = list(grid.get_node_ids())
            # Those that have just arrived, or were lost: a refusal is for good here.
            self.ask(grid, [n for n in present if n not in self._asked_at or n in self._lost])
            self.collect(grid)
        # Not before: named nodes get their numbers in the order of their names, not of arrival.
        self.settle(self.summaries)
        late = dict.fromkeys(self._pending.values(), f"not ready within {timeout:g} s")
        problems = sorted(
            f"client {self.nodes.key(node_id)}: {reason}"
            for node_id, reason in (self.refused | self._lost | late).items()
        )
        ready = len(self.summaries)
        if ready < minimum or (not minimum and problems):
            needed = f"at least {minimum} are needed (min-nodes)" if minimum else "all are needed"
            raise DataError(
                f"Not every client is ready: {ready} of {ready + len(problems)}, {needed}. "
                + "; ".join(dict.fromkeys(problems))
            )
        for problem in problems:
            log(WARNING, "The run starts without %s.", problem)
        log(INFO, "%d clients are ready.", ready)
        return self.ready()

    def _misses(self, minimum: int) -> bool:
        """Whether nodes that cannot be reached now keep it from the minimum."""
        answered = sum(not isinstance(answer, str) for answer in self._answers.values())
        return bool(self._lost) and len(self.summaries) + answered < minimum

    def ready(self) -> list[Summary]:
        """Summaries of all nodes that may take part, ordered by key."""
        return sorted(self.summaries.values(), key=lambda summary: summary.partition_id)

    def data_hashes(self) -> dict[str, str]:
        """Hash of the samples of each node that may take part, by its key."""
        return {str(s.partition_id): record_hash(s.hashes) for s in self.ready()}

    def told(self, key: int) -> Summary | None:
        """What a client told; None where it is not ready."""
        return next((s for s in self.summaries.values() if s.partition_id == key), None)

    def _take_in(self, node_id: int, answer: Summary | str) -> None:
        key = self.nodes.key(node_id)
        problem = answer if isinstance(answer, str) else self.check(answer)
        if problem is None and not isinstance(answer, str):
            self.refused.pop(node_id, None)
            for before in [n for n, s in self.summaries.items() if s.partition_id == key]:
                del self.summaries[before]  # the same node under an earlier id
            self.summaries[node_id] = answer.model_copy(update={"partition_id": key})
            self.tell("client", self.summaries[node_id].to_json())
        else:
            self.refused[node_id] = str(problem)[:_LONGEST_REASON]
            log(WARNING, "Client %d may not take part: %s", key, self.refused[node_id])
            self.tell("client-refused", {"client": key, "reason": self.refused[node_id]})


def read_answer(reply: Message) -> Summary | str:
    """The summary that a node has sent, or what is wrong with the node."""
    if reply.has_error():
        return f"it failed to prepare: {reply.error.reason} (code {reply.error.code})"
    for record in reply.content.config_records.values():
        if PROBLEM in record:
            return str(record[PROBLEM])
        try:
            told = json.loads(str(record[SUMMARY]))
        except (KeyError, ValueError, RecursionError):
            break
        try:
            return read_summary(told)
        except ValueError as error:
            return str(error)
    return "its answer is not readable: another version of the app, or another program"


_ENCODERS = ("image-encoder", "text-encoder")
_SHOWN = 12  # characters of a fingerprint


def misfit(
    summary: Summary,
    widths: Mapping[str, list[int]],
    models: Mapping[str, Mapping[str, Any]],
    num_classes: int,
) -> str | None:
    """Why a node may not take part, or None.

    Args:
        summary: what the node tells.
        widths: of the server's own features, by modality.
        models: the server's frozen models, as `FoundationModels.identities` names them.
        num_classes: of the run.
    """
    theirs = summary.widths
    if theirs != widths:
        return (
            f"its frozen features have widths {theirs} (tokens, pooled), those of this run "
            f"{widths}: its frozen encoders are others"
        )
    others = []
    for name in _ENCODERS:
        own = models[name]["fingerprint"]
        told = summary.models.get(name, {}).get("fingerprint") or "none"
        if told != own:
            others.append(f"another {name} ({told[:_SHOWN]}, here {own[:_SHOWN]})")
    if others:
        return (
            f"it has {' and '.join(others)}, and all nodes need the same frozen encoders: compare "
            "the model folders (name, weights, tokenizer, library settings)"
        )
    if len(summary.labels) != num_classes:
        return f"it knows {len(summary.labels)} classes, this run has {num_classes}"
    return None
