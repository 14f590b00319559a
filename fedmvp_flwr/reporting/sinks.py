"""Where the events of a run go: one small interface, and JSON Lines as its default."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class MetricsSink(Protocol):
    """Takes the events of a run, one after the other."""

    def write(self, event: Mapping[str, Any]) -> None:
        """Record one event."""

    def close(self) -> None:
        """Release what the sink holds; nothing is written afterwards."""


class MultiSink:
    """Hands every event to several sinks, in the order given."""

    def __init__(self, sinks: Sequence[MetricsSink]) -> None:
        self._sinks = tuple(sinks)

    def write(self, event: Mapping[str, Any]) -> None:
        """Record one event in every sink."""
        for sink in self._sinks:
            sink.write(event)

    def close(self) -> None:
        """Close every sink."""
        for sink in self._sinks:
            sink.close()
