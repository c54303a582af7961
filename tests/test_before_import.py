"""A function that waits for a module's import."""

import importlib.util
import subprocess
import sys

import pytest

from mmseg_tfovss.before_import import call_before_import


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module that can be imported; it is forgotten at the end."""
    (tmp_path / "waited_for.py").write_text("VALUE = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield "waited_for"
    sys.modules.pop("waited_for", None)


def test_it_is_called_once_and_before(module):
    called = []
    call_before_import(module, lambda: called.append(module in sys.modules))
    assert called == []
    assert importlib.import_module(module).VALUE == 3
    del sys.modules[module]
    importlib.import_module(module)
    assert called == [False]


def test_the_function_may_look_for_the_module_itself(module):
    found = []
    call_before_import(module, lambda: found.append(importlib.util.find_spec(module)))
    importlib.import_module(module)
    assert [spec.name for spec in found] == [module]


def test_too_late_is_never(module):
    importlib.import_module(module)
    before = list(sys.meta_path)
    call_before_import(module, lambda: None)
    assert sys.meta_path == before


def test_other_modules_and_a_modules_parts_call_nothing(module):
    called = []
    call_before_import("waited_for.part", lambda: called.append(1))
    importlib.import_module(module)
    assert called == []


@pytest.mark.slow
def test_torchvision_is_guarded_in_a_fresh_process():
    """Whatever imports it: here, a user's code that has imported nothing of torch."""
    code = "import mmseg_tfovss, sys; assert 'torch' not in sys.modules; import torchvision; torchvision.ops.nms"
    subprocess.run([sys.executable, "-c", code], check=True)
