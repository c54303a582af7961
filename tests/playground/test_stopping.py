"""Ctrl-C at any time: remembered where Python drops its exception."""

import os
import signal

import pytest

from mmseg_tfovss.playground.server import serve
from mmseg_tfovss.playground.stopping import Stop, stoppable


class Interrupted:
    """Ctrl-C comes while it is destroyed."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)


def send(number):
    with stoppable():
        os.kill(os.getpid(), number)
        pytest.fail("went on")


def lose(then):
    with stoppable() as stop:
        Interrupted()
        assert stop.asked
        then(stop)


def fail(stop):
    raise ImportError(f"half a module: {stop.asked}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_block(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        send(number)
    assert signal.getsignal(number) == before


def test_one_in_a_destructor_is_kept_and_makes_no_noise(capsys):
    with pytest.raises(KeyboardInterrupt):
        lose(Stop.check)
    assert capsys.readouterr().err == ""


def test_what_breaks_by_it_is_an_interrupt():
    with pytest.raises(KeyboardInterrupt):
        lose(fail)


def test_other_errors_are_themselves():
    with pytest.raises(ImportError, match="half a module: False"), stoppable() as stop:
        fail(stop)


def test_without_a_signal_nothing_happens():
    with stoppable() as stop:
        stop.check()


@pytest.mark.parametrize("lost", [True, False])
def test_no_page_is_announced_after_ctrl_c_and_an_open_one_is_closed(lost, monkeypatch, tmp_path):
    said, closed, stop = [], [], Stop()

    class Page:
        local_url = "http://127.0.0.1:7860/"

        def close(self, verbose):
            closed.append(True)

    def say(line):
        said.append(line.split()[0])
        stop.asked = True

    stop.asked = lost
    monkeypatch.setattr("mmseg_tfovss.playground.server.open_page", lambda *_: Page())
    if lost:
        with pytest.raises(KeyboardInterrupt):
            serve(None, [], tmp_path, "127.0.0.1", 7860, say, stop)
    else:
        serve(None, [], tmp_path, "127.0.0.1", 7860, say, stop)
    assert (said, closed) == ([] if lost else ["Open", "Stopped."], [True])
