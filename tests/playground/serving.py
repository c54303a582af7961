"""The real server of the page, in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@contextmanager
def served(folder: Path, *options: str, **variables: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """``tfovss app`` on a free port: its address, and its process, which is ended after the block.

    Args:
        folder: it is started in.
        options: of the command.
        variables: of its environment.

    Raises:
        pytest.fail.Exception: Gradio is not installed, or the server does not start.
    """
    if find_spec("gradio") is None:
        pytest.fail("Tests of the page need Gradio: pip install -e '.[test,app,browser]' -c constraints.txt")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mmseg_tfovss", "app", "--port", str(port), "--device", "cpu", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("Open "):
                break
        else:
            pytest.fail(f"The server has not started: {''.join(said)}")
        yield line.split()[1], process
    finally:
        end(process)


def end(process: subprocess.Popen) -> str:
    """Ctrl-C; what the server has printed since it started."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    return process.communicate(timeout=60)[0]
