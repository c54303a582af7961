"""Forks as a list of runs starts them."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from mmseg_tfovss.cluster.launch import fork_of
from mmseg_tfovss.cluster.local_list import LOG_NAME, RunningList
from mmseg_tfovss.engine.signals import StopSignals
from tests.cluster.test_local_list import plan

loaded = []  # by this process


def main(words):
    """A command that shows where it runs."""
    what, *rest = words
    if what == "tell":
        told = [*rest, loaded, os.getsid(0) == os.getpid(), torch.get_num_threads(), os.environ["PLACE"]]
        sys.stdout.write(f"{told}\n")
        sys.stderr.write("to the log\n")
    elif what == "wait":
        with StopSignals() as signals:
            sys.stdout.write("waiting\n")
            while signals.received is None:
                time.sleep(0.01)
        sys.stdout.write("saved\n")
        return 143
    elif what == "fail":
        raise SystemExit("error: no data.")
    elif what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return 0


def start(tmp_path, *words):
    with (tmp_path / "log").open("ab") as log:
        return fork_of(main)(words, log, {"OMP_NUM_THREADS": "2", "PLACE": "here"})


def test_a_fork_has_what_is_loaded_and_its_own_log_and_environment(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(sys.modules[__name__], "loaded", ["once"])
    process = start(tmp_path, "tell", "me")
    assert process.wait(20) == process.poll() == 0
    assert (tmp_path / "log").read_text() == "['me', ['once'], True, 2, 'here']\nto the log\n"
    assert capfd.readouterr() == ("", "")
    assert "PLACE" not in os.environ
    assert torch.get_num_threads() == 1


def test_a_fork_can_be_stopped_although_this_process_notes_signals(tmp_path):
    with StopSignals() as signals:
        process = start(tmp_path, "wait")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)
        assert process.poll() is None
        while "waiting" not in (tmp_path / "log").read_text():
            time.sleep(0.01)
        process.terminate()
        assert process.wait(20) == 143
    assert (tmp_path / "log").read_text() == "waiting\nsaved\n"
    assert signals.received is None


def test_a_list_of_forks_tells_why_some_have_failed(tmp_path):
    runs, lines = plan(tmp_path, "tell", "fail", "die"), []
    failures = RunningList(runs, lambda run: [run.name], 2, lines.append, launch=fork_of(main)).work()
    assert {failure.name: failure.reason for failure in failures} == {
        "fail": "no data. (exit code 1)",
        "die": "ended by SIGKILL",
        "tell": "KeyError: 'PLACE' (exit code 1)",
    }
    assert (tmp_path / "die" / LOG_NAME).read_text() == ""
    assert len(lines) == 3
