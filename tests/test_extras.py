"""Packages that only some methods need: who works without them, and what the others say."""

import ast
import configparser
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mmseg_tfovss as tf
from mmseg_tfovss.encoders.facts_beside import facts_beside
from mmseg_tfovss.extras import EXTRAS, PROJECTS, import_extra
from mmseg_tfovss.profiling.solver_speed import time_solvers

ROOT = Path(__file__).parents[1]
# They take from a quarter of a second to seconds to import, and a method without companions needs none of them.
LATE = ("sklearn", "matplotlib", "torchvision.transforms.v2", "pandas", "mmseg.apis", "IPython", "gradio")
# Files that draw figures, train, or make the page of `tfovss app`, and that nothing else imports when it starts.
AT_ONCE = {
    "page.py": {"gradio"},
    "picture.py": {"matplotlib"},
    "report.py": {"matplotlib"},
    "train_diffusion.py": {*EXTRAS, "sklearn"},
}
PLAIN = f"""
import sys
for name in {list(EXTRAS)}:
    sys.modules[name] = None  # as if it were not installed
import numpy as np
import mmseg_tfovss as tf
segment = tf.load("sclip", pretrained="pocket", device="cpu", short_side=64)
segment(np.zeros((80, 64, 3), np.uint8), ["cat", "grass"]).overlay()
print([name for name in {LATE} if name in sys.modules])
"""


def imported_at_once(path):
    """Modules that a file imports as soon as it is imported itself."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_no_file_imports_them_before_they_are_used():
    for path in (ROOT / "mmseg_tfovss").rglob("*.py"):
        allowed = AT_ONCE.get(path.name, set())
        for name in imported_at_once(path):
            late = {slow for slow in (*LATE, *EXTRAS) if f"{name}.".startswith(f"{slow}.")}
            assert late <= allowed, f"{path} imports {name} at once"


@pytest.mark.slow
def test_a_method_without_companions_needs_none_and_imports_nothing_late():
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PLAIN], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("package", "method", "message"),
    [
        ("transformers", "proxyclip", "DINO needs the package transformers, which is not installed: pip install"),
        ("transformers", "trident", r"needs the package transformers, .* 'mmseg_tfovss\[companions\]'\.$"),
        ("transformers", "dslo", r"Stable Diffusion 2 needs the package transformers, .*\[diffusion\]'\.$"),
        ("diffusers", "dslo", r"Stable Diffusion 2 needs the package diffusers, .* 'mmseg_tfovss\[diffusion\]'\.$"),
    ],
)
def test_a_method_says_what_it_needs(package, method, message, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=message):
        tf.load(method, pretrained="pocket", device="cpu")


def test_the_comparison_of_solvers_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(ValueError, match=r"needs the package POT, .* pip install 'mmseg_tfovss\[pot\]'\.$"):
        time_solvers("cpu", 1)


def test_a_clip_beside_a_configuration_of_transformers_says_what_it_needs(monkeypatch, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"Reading .*config\.json needs the package transformers, which is not"):
        facts_beside(tmp_path / "clip.pt", "transformers", None)


def test_a_package_that_is_there_but_broken_is_no_user_mistake(monkeypatch, tmp_path):
    (tmp_path / "ot.py").write_text("import nothing_of_this_name")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ot", raising=False)
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        import_extra("ot", "A test")


def test_the_extras_are_those_of_the_package():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = {name: text.split() for name, text in setup["options.extras_require"].items()}
    needed = setup["options"]["install_requires"].split()
    for package, extra in EXTRAS.items():
        assert PROJECTS.get(package, package) in extras[extra]
        assert package not in needed
        for whole in ("all", "test"):
            assert extra in re.findall(r"\w+", extras[whole][0])
