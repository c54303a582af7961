"""The guard that lets torchvision be imported beside a CPU-only torch."""

import importlib.util
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mmseg_tfovss import _torchvision_guard as guard


def test_declares_exactly_the_operators_with_fake_kernels():
    """torchvision registers fake kernels on import, which fails for an operator that nobody declared."""
    folder = Path(importlib.util.find_spec("torchvision").origin).parent
    source = (folder / "_meta_registrations.py").read_text()
    needed = re.findall(r"""(?:register_fake|impl_abstract)\(\s*["']torchvision::(\w+)["']""", source)
    assert needed
    assert {schema.split("(")[0] for schema in guard._SCHEMAS} == set(needed)


def test_no_other_file_of_torchvision_registers_fake_kernels():
    folder = Path(importlib.util.find_spec("torchvision").origin).parent
    files = [path.name for path in folder.rglob("*.py") if "library.register_fake" in path.read_text(encoding="utf-8")]
    assert files == ["_meta_registrations.py"]


def test_nms_is_declared():
    assert torch.ops.torchvision.nms.default.name() == "torchvision::nms"


def test_torchvision_is_imported_with_its_operators():
    """open_clip imports it; tests/fixtures.py has imported this package before."""
    assert callable(sys.modules["torchvision"].ops.nms)


def pretend_torchvision_is(monkeypatch, origin):
    spec = SimpleNamespace(origin=str(origin)) if origin else None
    monkeypatch.setattr(guard.importlib.util, "find_spec", lambda name: spec)


def test_nothing_to_guard_without_torchvision(monkeypatch):
    pretend_torchvision_is(monkeypatch, None)
    assert guard.compiled_library_loads()


def test_nothing_to_guard_without_a_compiled_library(monkeypatch, tmp_path):
    pretend_torchvision_is(monkeypatch, tmp_path / "__init__.py")
    assert guard.compiled_library_loads()


def test_broken_library_is_noticed(monkeypatch, tmp_path):
    (tmp_path / "_C.so").write_bytes(b"no library")
    pretend_torchvision_is(monkeypatch, tmp_path / "__init__.py")
    assert not guard.compiled_library_loads()


@pytest.mark.parametrize(("loads", "declared"), [(True, 0), (False, 1)])
def test_declares_only_when_the_library_does_not_load(loads, declared, monkeypatch):
    libraries, schemas = [], []
    fragment = SimpleNamespace(define=schemas.append)
    monkeypatch.setattr(guard, "_keep_alive", libraries)
    monkeypatch.setattr(guard, "compiled_library_loads", lambda: loads)
    monkeypatch.setattr(torch.library, "Library", lambda *args: fragment)
    guard.declare_missing_operators()
    guard.declare_missing_operators()
    assert libraries == [fragment] * declared
    assert schemas == list(guard._SCHEMAS) * declared
