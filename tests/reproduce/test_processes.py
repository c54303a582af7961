"""``tfovss reproduce`` as people start it: a process of its own, told by the environment where hub and caches are."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.downloads import hub
from tests.reproduce import stand_ins

ROOT = Path(__file__).parents[2]
# Tiny networks and archives in the place of the real ones; all else is what is installed.
START = """
import sys
import pytest
import mmseg_tfovss.encoders
from mmseg_tfovss import commands
from tests.reproduce import stand_ins
stand_ins.replace_originals(pytest.MonkeyPatch(), sys.argv[1], sys.argv[2])
raise SystemExit(commands.main(sys.argv[3:]))
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def server(mini_state, tmp_path):
    with hub.serving(stand_ins.tiny_hub(mini_state, tmp_path)) as server:
        yield server


@pytest.fixture
def start(server, tmp_path):
    """Start a command line in an empty folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "home"),
        "MMSEG_TFOVSS_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "no_proxy": "127.0.0.1,localhost",
    }
    (tmp_path / "here").mkdir()

    def begin(*words, **more):
        archive = (f"{server.url}{stand_ins.ARCHIVE}", stand_ins.md5(server.files[stand_ins.ARCHIVE]))
        return subprocess.Popen(
            [sys.executable, "-c", START, *archive, *words],
            cwd=tmp_path / "here",
            env=environment | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


def ended(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_ended_while_it_downloads_and_started_again(server, start, tmp_path, number, code):
    server.stall = 100_000  # bytes, then nothing
    process = start("reproduce", "sclip", "voc21", "--yes")
    deadline = time.monotonic() + 120
    while not any(command == "GET" and "/resolve/" in path for command, path in server.requests):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    assert list((tmp_path / "home").rglob("*.incomplete"))
    process.send_signal(number)
    time.sleep(0.5)
    server.stall = None
    returned, _, err = ended(process)
    assert returned == code
    assert "Traceback" not in err
    returned, out, err = ended(start("reproduce", "sclip", "voc21", "--yes"))
    assert returned == 3, err  # two images are no benchmark
    assert "Images: 2 here, 1449 in the benchmark." in out
    assert "\r" not in out + err  # no progress bar in a log
    returned, out, err = ended(start("reproduce", "sclip", "voc21", "--resume", HF_HUB_OFFLINE="1"))
    assert returned == 3, err
    assert "Already finished: " in out


def test_a_node_without_network_runs_after_the_download(server, start, tmp_path):
    returned, out, err = ended(start("download", "--for", "sclip_vit-b16_voc21", "--data"))
    assert returned == 0, err
    settings = dict(line.strip().removeprefix("export ").split("=", 1) for line in out.splitlines() if "export" in line)
    assert set(settings) == {"HF_HUB_OFFLINE", "HF_HOME", "MMSEG_TFOVSS_CACHE"}
    server.requests.clear()
    returned, out, err = ended(start("test", "sclip_vit-b16_voc21", HF_ENDPOINT="http://127.0.0.1:9", **settings))
    assert returned == 0, err
    assert (tmp_path / "here/work_dirs/sclip_vit-b16_voc21/result.json").is_file()
    assert server.requests == []
