"""One run at a time in a folder."""

import errno
import fcntl
import re
import signal
import subprocess
import sys

import pytest

from mmseg_tfovss.engine.lock import LOCK_NAME, locked

HOLDER = """
import importlib.util, sys, time
from pathlib import Path
spec = importlib.util.spec_from_file_location("lock", sys.argv[1])  # the package's own import takes seconds
lock = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lock)
with lock.locked(Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    command = [sys.executable, "-c", HOLDER, locked.__wrapped__.__code__.co_filename, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_held_folder_is_refused_and_its_holder_named(holder, tmp_path):
    message = rf"The folder .* is in use by process {holder.pid} on \S+ since .*: wait for that run"
    with pytest.raises(ValueError, match=message), locked(tmp_path):
        pass


def test_a_killed_holder_holds_nothing(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert str(holder.pid) in (tmp_path / LOCK_NAME).read_text()
    with locked(tmp_path):
        assert str(holder.pid) not in (tmp_path / LOCK_NAME).read_text()


def test_the_folder_is_made_and_can_be_held_again(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "a/b"):
            assert re.match(r"process \d+ on ", (tmp_path / "a/b" / LOCK_NAME).read_text())


def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, caplog):
    def absent(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", absent)
    with locked(tmp_path):
        assert "has no locks (No locks available): start one run at a time" in caplog.text
