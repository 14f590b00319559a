"""Follow the events that the ServerApp appends to metrics.jsonl."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class EventTail:
    """Reads the new whole lines of a JSON Lines file that somebody else is writing.

    The file need not exist yet. A last line without its newline is left for the next time, a line
    that is no JSON is skipped. A file that was cut off, as a resumed run does with what came
    after its checkpoint, is followed from its new end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[Event]:
        """Return the events that were completed since the last call."""
        try:
            with self._path.open("rb") as file:
                self._offset = min(self._offset, file.seek(0, os.SEEK_END))
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        events = []
        for line in whole.splitlines():
            with suppress(ValueError):
                events.append(json.loads(line))
        return events
