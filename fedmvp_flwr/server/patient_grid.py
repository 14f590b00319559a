"""A grid that bears with a SuperLink that is busy for a moment.

Flower's SuperLink answers 500 when its database stays locked for some seconds, as on an overloaded
machine, and its grid raises at once. A night's training must not end for that.
"""

import time
from collections.abc import Callable, Iterable
from logging import WARNING
from typing import Any, TypeVar

from flwr.app import Message
from flwr.common.logger import log
from flwr.serverapp import Grid

_T = TypeVar("_T")
_PATIENCE = 300.0  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0
_POLL = 1.0  # seconds between two looks for replies
_SERVER_ERROR = 500


class PatientGrid(Grid):
    """Passes everything on to another grid, again and again where that fails for the moment.

    Args:
        grid: the real one.
        patience: seconds after which an error is final.
    """

    def __init__(self, grid: Grid, patience: float = _PATIENCE) -> None:
        self._grid = grid
        self._patience = patience

    def set_run(self, run: Any) -> None:  # noqa: ANN401 - Flower's own
        """Pass the run on."""
        self._grid.set_run(run)

    @property
    def run(self) -> Any:  # noqa: ANN401 - Flower's own
        """Flower's record of the run."""
        return self._grid.run

    def create_message(self, *args: Any, **kwargs: Any) -> Message:  # noqa: ANN401
        """Deprecated in Flower: use `Message`."""
        return self._grid.create_message(*args, **kwargs)

    def get_node_ids(self) -> Iterable[int]:
        """Ids of the connected nodes."""
        return self._insist(lambda: list(self._grid.get_node_ids()))

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages; return their ids, None where one could not be sent."""
        messages = list(messages)
        return self._insist(lambda: list(self._grid.push_messages(messages)))

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Fetch the replies that have come."""
        ids = list(message_ids)
        return self._insist(lambda: list(self._grid.pull_messages(ids)))

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send messages and wait for their replies; those that miss the timeout are left out."""
        waiting = {message_id for message_id in self.push_messages(messages) if message_id}
        deadline = None if timeout is None else time.monotonic() + timeout
        replies: list[Message] = []
        while waiting:
            found = list(self.pull_messages(waiting))
            replies += found
            waiting -= {reply.metadata.reply_to_message_id for reply in found}
            if not waiting or (deadline is not None and time.monotonic() > deadline):
                break
            time.sleep(_POLL)
        return replies

    def _insist(self, action: Callable[[], _T]) -> _T:
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return action()
            except Exception as error:
                if not _passes(error) or time.monotonic() + pause > deadline:
                    raise
                log(WARNING, "The SuperLink is busy (%s); asked again in %.0f s.", error, pause)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)


def _passes(error: Exception) -> bool:
    """Whether an error may be gone after a while: no connection, or an error of the server."""
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= _SERVER_ERROR
    return isinstance(error, httpx.TransportError | ConnectionError)
