"""Events as JSON Lines: each on disk at once, whole or not at all."""

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import ReportError

_SHOWN = 60  # characters of a damaged line


class JsonlSink:
    """Appends events to a JSON Lines file, each with its UTC time, each on disk at once.

    A torn last line that a killed process left behind is cut off first, so that a new event does
    not end up in the middle of it.

    Args:
        path: the file; it and its folder are created where missing.

    Raises:
        ReportError: the file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b", buffering=0)
            self._path = path
            self._torn = True  # whether the file may end within a line
            self._cut()
        except OSError as error:
            raise ReportError(
                f"The metrics file {path} cannot be written ({error.strerror}): give an out-dir "
                "that exists or can be made, and that is writable."
            ) from error

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one event, whole or not at all.

        Args:
            event: JSON values, paths, NumPy and torch scalars and arrays. NaN and infinite
                numbers become null.

        Raises:
            TypeError: a value of another type.
            OSError: it cannot be written, for example on a full disk.
        """
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **event}
        text = json.dumps(to_json(line), ensure_ascii=False, allow_nan=False)
        rest = text.encode("utf-8", errors="replace") + b"\n"
        if self._torn:
            self._cut()  # what an earlier error has left there, and could not be cut off then
        self._torn = True
        try:
            while rest:
                rest = rest[self._file.write(rest) :]  # a disk that becomes full takes a part
        except BaseException:
            with suppress(OSError):  # the first error is the one to see
                self._cut()
            raise
        self._torn = False

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        self._file.close()

    def _cut(self) -> None:
        whole = self._path.read_bytes().rfind(b"\n") + 1
        if whole < self._path.stat().st_size:
            os.truncate(self._path, whole)
        self._torn = False


def to_json(value: Any) -> Any:  # noqa: ANN401 - JSON values are of any type
    """Convert to what `json` can write: plain containers, numbers that are finite or None.

    Raises:
        TypeError: a value that has no counterpart in JSON.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy and torch, without importing either
        return to_json(value.tolist())
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"an event cannot hold a {type(value).__name__}: {value!r}.")


def read_events(path: Path) -> list[dict[str, Any]]:
    """Read the events of a JSON Lines file.

    A last line without its newline is left out if it is torn: the process that wrote it was
    killed, or is writing it right now.

    Raises:
        ReportError: the file cannot be read, or a line, which is named, is no JSON object.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReportError(f"The metrics file {path} cannot be read: {error.strerror}.") from error
    lines = content.split(b"\n")
    events = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        event = _parse(line)
        if event is not None:
            events.append(event)
        elif number < len(lines):  # the last piece has no newline after it
            raise ReportError(
                f"{path}, line {number}: expected a JSON object, found "
                f"{line.decode('utf-8', errors='replace')[:_SHOWN]!r}. "
                "Delete that line to go on without it."
            )
    return events


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
