"""Commands run in this process, beside a stand-in of the hub with a tiny CLIP and a dataset of two images."""

import sys
from types import SimpleNamespace

import pytest

from mmseg_tfovss import commands
from tests.downloads import hub
from tests.prepare import official
from tests.reproduce import stand_ins


@pytest.fixture(scope="module")
def module_server(mini_state, tmp_path_factory):
    with hub.serving(stand_ins.tiny_hub(mini_state, tmp_path_factory.mktemp("voc"))) as server:
        yield server


@pytest.fixture
def server(module_server, monkeypatch, tmp_path):
    """The stand-ins, an empty home, no terminal, and an empty folder to work in."""
    module_server.requests.clear()
    module_server.cut, module_server.swapped = None, {}
    stand_ins.use(monkeypatch, module_server, tmp_path / "home")
    official.convert_in_this_process(monkeypatch)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
    monkeypatch.setenv("MMSEG_TFOVSS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return module_server


@pytest.fixture
def told(capfd):
    """Run a command line: exit code, stdout, stderr."""

    def run(*words):
        capfd.readouterr()
        try:
            code = commands.main(words)
        except SystemExit as end:
            code = end.code
        return code or 0, *capfd.readouterr()

    return run
