"""What a node did, for those who run it: one JSON line per message in its own folder.

Counts, sizes, scores and durations; never a sample, a key, a label's name or an error's text (an
error is named by its kind alone: its text is in the node's ordinary log).
"""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from fedmvp_flwr.base.errors import ReportError
from fedmvp_flwr.base.jsonl import JsonlSink
from fedmvp_flwr.config.folders import LOG_FILE
from fedmvp_flwr.config.node import Node

_LARGEST = 10_000_000  # bytes; then a new file is begun, and the one before the last goes


@contextmanager
def node_event(node: Node, name: str) -> Iterator[dict[str, Any]]:
    """Time what a node does and append it to its log.

    Only a node with a folder of its own keeps a log: simulated clients share one machine and one
    reader. A log that cannot be written (full disk) does not stop the work.

    Args:
        node: whose log.
        name: of the event.

    Yields:
        JSON values of the event, to be filled.
    """
    values: dict[str, Any] = {}
    began = time.monotonic()
    try:
        yield values
    except Exception as error:
        values["error"] = type(error).__name__
        raise
    finally:
        if node.data_path is not None:
            seconds = round(time.monotonic() - began, 3)
            _append(node, {"event": name, "node": node.name, **values, "seconds": seconds})


def _append(node: Node, event: dict[str, Any]) -> None:
    path = node.cache_dir / LOG_FILE
    with suppress(ReportError, OSError):
        if path.exists() and path.stat().st_size > _LARGEST:
            path.replace(path.with_suffix(".1.jsonl"))
        with closing(JsonlSink(path)) as sink:
            sink.write(event)
