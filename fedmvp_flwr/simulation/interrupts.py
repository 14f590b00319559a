"""Ctrl-C and its relatives: turned into an exception, or held off during the cleaning up."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interrupts_raise() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into KeyboardInterrupt (in the main thread only).

    Later ones are ignored until the end, so that nothing interrupts the cleaning up. SIGHUP stays
    ignored where the parent process ignores it (`nohup`).
    """
    nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    signals = _STOP_SIGNALS[:2] if nohup else _STOP_SIGNALS

    def interrupt(signum: int, frame: object) -> None:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    with _handlers(signals, interrupt):
        yield


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Hold off the stop signals, so that cleaning up is not cut short."""
    with _handlers(_STOP_SIGNALS, signal.SIG_IGN):
        yield


@contextmanager
def _handlers(
    signals: tuple[signal.Signals, ...],
    handler: Callable[[int, object], None] | signal.Handlers,
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
