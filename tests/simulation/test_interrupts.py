import os
import signal
import threading

import pytest

from fedmvp_flwr.simulation.interrupts import interrupts_ignored, interrupts_raise


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stop_signals_raise_and_are_restored(number: signal.Signals) -> None:
    inherited = signal.getsignal(number)
    if inherited == signal.SIG_IGN:  # under nohup the signal is ignored, which is respected
        signal.signal(number, signal.SIG_DFL)
    try:
        before = signal.getsignal(number)
        with pytest.raises(KeyboardInterrupt), interrupts_raise():
            signal.raise_signal(number)
        assert signal.getsignal(number) == before
    finally:
        signal.signal(number, inherited)


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts_raise():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_cleaning_up_is_not_interrupted() -> None:
    with interrupts_raise(), interrupts_ignored():
        signal.raise_signal(signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)


def test_only_the_first_signal_raises() -> None:
    interrupted = []
    with interrupts_raise():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            interrupted.append(True)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert interrupted == [True]


def test_other_threads_leave_the_handlers_alone() -> None:
    seen = []

    def work() -> None:
        with interrupts_raise(), interrupts_ignored():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
