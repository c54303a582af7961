"""Signals end a run in order."""

import os
import signal
import threading

import pytest

from mmseg_tfovss.engine.signals import StoppedError, StopSignals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 138), (signal.SIGUSR2, 140)])
def test_a_signal_is_noted_and_raised_when_asked(number, code):
    before = signal.getsignal(number)
    with StopSignals() as signals:
        signals.check()
        os.kill(os.getpid(), number)
        with pytest.raises(StoppedError, match=f"stopped by {number.name}") as stop:
            signals.check()
    assert stop.value.exit_code == code
    assert signal.getsignal(number) is before


def test_the_first_signal_stands():
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received == signal.SIGUSR1


def test_other_threads_take_no_signals():
    def work():
        with StopSignals() as signals:
            signals.check()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
