"""The code that a run goes through: all of it, and no other method's."""

import ast
import importlib
import inspect
import sys
from pathlib import Path

import pytest
from mmseg.registry import MODELS as MMSEG_MODELS

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine import code
from mmseg_tfovss.engine.code import PACKAGE, code_files, code_hash
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.registry import MODELS
from tests.engine.test_run import CONFIG, make_voc, small_options

FOLDER = CONFIG.parents[1]
# Parts of several methods.
SHARED = {"around", "authoring", "base", "life_cycle", "options", "region_voting", "stages"}
# Of DSLO, which is around one of them where its config names no base.
DEFAULT_BASES = {"clearclip", "clip", "naclip"}


def names(config):
    return {path.relative_to(PACKAGE).as_posix() for path in code_files(config)}


def test_a_method_and_all_that_it_imports():
    found = names(load_config(CONFIG))
    assert {
        "methods/sclip.py",
        "methods/base.py",
        "ops/attention.py",
        "ops/windows.py",
        "encoders/clip.py",
        "heads/text_head.py",
        "datasets/transforms.py",
        "engine/loop.py",
        "evaluation/metric.py",
        "evaluation/scores.py",
    } <= found
    others = {"methods/naclip.py", "methods/dslo.py", "methods/__init__.py", "evaluation/leaderboard.py"}
    assert not found & others
    assert not any(name.startswith(("leaderboard/", "solvers/", "prepare/", "studies/", "pictures/")) for name in found)


def test_every_part_of_a_method_of_parts():
    base = {"type": "LHTCLIP", "base": {"type": "CLIPtrase"}}
    config = load_config(FOLDER / "dslo/dslo_vit-b16_voc21.py", {"model.base": base})
    parts = {"dslo", "lht_clip", "cliptrase"} | SHARED | DEFAULT_BASES
    expected = {f"methods/{name}.py" for name in parts}
    found = names(config)
    assert {name for name in found if name.startswith("methods/")} == expected
    assert {"encoders/stable_diffusion.py", "solvers/sinkhorn.py", "ops/clustering.py"} <= found


@pytest.mark.parametrize("attention", ["key", "query", "original"])
def test_the_base_that_no_config_names(attention):
    """What a method takes where its config leaves an option out is code that runs, too."""
    found = names(load_config(FOLDER / "dslo/dslo_vit-b16_voc21.py", {"model.attention": attention}))
    own = {"key": "naclip", "query": "clearclip", "original": "clip"}[attention]
    assert {f"methods/{own}.py", "methods/dslo.py"} <= found


def test_the_hash_follows_a_file(monkeypatch, tmp_path):
    config = load_config(CONFIG)
    before = code_hash(config)
    copy = tmp_path / "sclip.py"
    original = PACKAGE / "methods/sclip.py"
    copy.write_bytes(original.read_bytes())
    files = code_files(config)
    monkeypatch.setattr(code, "code_files", lambda _: {copy if path == original else path for path in files})
    copy.write_text(original.read_text() + "# changed\n")
    assert code_hash(config) != before


@pytest.fixture
def own_method(tmp_path, monkeypatch):
    """A module of a user's: a method on SCLIP, and a helper beside it."""
    (tmp_path / "users_helper.py").write_text("from mmseg_tfovss.ops import roc\n")
    (tmp_path / "users_method.py").write_text(
        "from mmseg.registry import MODELS\nimport users_helper\nfrom mmseg_tfovss.methods.sclip import SCLIP\n"
        "@MODELS.register_module(force=True)\nclass UsersMethod(SCLIP):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("users_method")
    for name in ("users_method", "users_helper"):
        sys.modules.pop(name, None)
    MMSEG_MODELS.module_dict.pop("UsersMethod", None)


@pytest.mark.parametrize("name", ["UsersMethod", "users_method.UsersMethod", None])
def test_a_method_of_the_users_own(own_method, tmp_path, name):
    """Registered with MMSegmentation, by its import path, or as a class."""
    config = load_config(CONFIG)
    config.model.type = name or own_method.UsersMethod
    found = code_files(config)
    own = {tmp_path / "users_method.py", tmp_path / "users_helper.py"}
    assert own | {PACKAGE / "methods/sclip.py", PACKAGE / "ops/roc.py"} <= found
    before = code_hash(config)
    (tmp_path / "users_helper.py").write_text("changed = True\n")
    assert code_hash(config) != before


@pytest.fixture
def own_package(tmp_path, monkeypatch):
    """A user's package: absolute imports of itself, relative ones of its parts, and two files of one name."""
    files = {
        "usersown/__init__.py": "from mmseg_tfovss.ops import roc\n",
        "usersown/methods/__init__.py": "",
        "usersown/methods/ops.py": "near = 1\n",
        "usersown/methods/own.py": (
            "from mmseg_tfovss.methods.sclip import SCLIP\nimport usersown.losses.focal\nfrom usersown import tables\n"
            "from . import ops\nfrom ..ops import far\nimport usersbeside\n\nclass UsersOwn(SCLIP):\n"
            "    def later(self):\n        import userslazy\n"
        ),
        "usersown/losses/__init__.py": "",
        "usersown/losses/focal.py": "",
        "usersown/tables.py": "",
        "usersown/ops.py": "far = 2\n",
        "usersbeside.py": "",
        "userslazy.py": "",
        "usersunused.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield importlib.import_module("usersown.methods.own").UsersOwn
    for name in set(sys.modules) - before:
        if name.startswith("users"):
            del sys.modules[name]


def test_all_files_of_a_users_package_that_are_imported(own_package, tmp_path):
    config = load_config(CONFIG)
    config.model.type = own_package
    found = {path.relative_to(tmp_path).as_posix() for path in code_files(config) if path.is_relative_to(tmp_path)}
    expected = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.py")}
    assert found == expected - {"usersunused.py"}
    assert PACKAGE / "ops/roc.py" in code_files(config)
    hashes = [code_hash(config)]
    for name in sorted(found):
        (tmp_path / name).write_text((tmp_path / name).read_text() + "# changed\n")
        hashes.append(code_hash(config))
    assert len(set(hashes)) == len(found) + 1


def test_files_of_one_name_do_not_hide_each_other(own_package, tmp_path):
    config = load_config(CONFIG)
    config.model.type = own_package
    one, other = tmp_path / "usersown/ops.py", tmp_path / "usersown/methods/ops.py"
    hashes = set()
    for texts in (("a = 1\n", "b = 1\n"), ("a = 2\n", "b = 1\n"), ("a = 1\n", "b = 2\n")):
        one.write_text(texts[0])
        other.write_text(texts[1])
        hashes.add(code_hash(config))
    assert len(hashes) == 3


def typed(body):
    """As in a notebook."""
    names = {"SCLIP": code.MODELS.get("SCLIP"), "__name__": "__main__"}
    exec(body, names)  # what a cell is
    return names["Own"]


CELL = """class Own(SCLIP):
    steps = 3
    def attend(self, a):
        return a * 2 if a in {1, "x"} else [n for n in a]
"""


def test_a_class_without_a_file_counts_by_what_it_does(monkeypatch):
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    config = load_config(CONFIG)
    hashes = []
    for cell in (CELL, f"\n\n{CELL}", CELL.replace("steps = 3", "steps = 4"), CELL.replace("* 2", "* 3"), CELL):
        config.model.type = typed(cell)
        hashes.append(code_hash(config))
    assert hashes[0] == hashes[1] == hashes[4]
    assert len(set(hashes)) == 3


def test_a_function_that_builds_counts(tmp_path, monkeypatch):
    (tmp_path / "usersmaker.py").write_text("def make(**options):\n    return options\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = load_config(CONFIG)
    config.model.type = importlib.import_module("usersmaker").make
    sys.modules.pop("usersmaker")
    assert tmp_path / "usersmaker.py" in code_files(config)


@pytest.mark.parametrize(
    "method", ["dslo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sclip", "cliptrase", "lht_clip"))]
)
def test_nothing_runs_that_is_not_in_the_hash(method, mini_clip, tmp_path):
    options = small_options(make_voc(tmp_path), mini_clip, tmp_path / "work")
    if method in ("cliptrase", "dslo"):
        options = {name: value for name, value in options.items() if "test_cfg" not in name}
    own = {"dslo": {"model.graph": {"_delete_": True, "type": "CLIPGraph"}}, "lht_clip": {"model.k": 0}}
    config = load_config(FOLDER / method / f"{method}_vit-b16_voc21.py", {**options, **own.get(method, {})})
    config.test_dataloader.dataset.indices = 1
    seen = set()
    sys.setprofile(lambda frame, event, _: seen.add(frame.f_code.co_filename) if event == "call" else None)
    try:
        run_test(config)
    finally:
        sys.setprofile(None)
    executed = {path for path in map(Path, seen) if path.is_relative_to(PACKAGE)}
    assert PACKAGE / "encoders/preprocessor.py" in executed
    assert executed <= code_files(config)


def test_methods_use_other_methods_by_inheritance_only():
    """Else a method that is no base class would count as another one's code, which is right, but rarely meant."""
    registered = {
        Path(inspect.getfile(kind)).stem for kind in MODELS.module_dict.values() if "methods" in kind.__module__
    }
    for path in sorted((PACKAGE / "methods").glob("*.py")):
        tree = ast.parse(path.read_text())
        parents = {base.id for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases}
        for node in ast.walk(tree):
            room, _, module = (getattr(node, "module", None) or "").rpartition(".")
            if isinstance(node, ast.ImportFrom) and room.endswith(".methods") and module in registered - SHARED:
                named = path.stem == "dslo" and module in DEFAULT_BASES
                assert named or {one.name for one in node.names} & parents, path


@pytest.mark.parametrize("kind", ["NoSuchMethod", 3, None])
def test_unknown_types_are_left_to_the_check_of_settings(kind):
    config = load_config(CONFIG)
    config.model.type = kind
    assert PACKAGE / "engine/run.py" in code_files(config)


def test_code_of_a_users_counts_installed_or_not_and_what_a_config_imports(tmp_path, monkeypatch):
    """An installed method has a version that no result records, and an imported module may change other classes."""
    site = tmp_path / "lib" / "site-packages"
    lab = site / "their_lab"
    lab.mkdir(parents=True)
    (lab / "__init__.py").write_text("")
    (lab / "gain.py").write_text("GAIN = 1\n")
    (lab / "method.py").write_text(
        "from mmseg_tfovss.methods.sclip import SCLIP\nfrom their_lab.gain import GAIN\n\n\nclass Theirs(SCLIP):\n"
        "    gain = GAIN\n"
    )
    (tmp_path / "their_patch.py").write_text("PATCHED = True\n")
    for folder in (site, tmp_path):
        monkeypatch.syspath_prepend(str(folder))
    config = load_config(CONFIG)
    config.custom_imports = {"imports": ["their_patch"]}
    config.model.type = importlib.import_module("their_lab.method").Theirs
    importlib.import_module("their_patch")
    found = {path.name for path in code_files(config)}
    assert {"method.py", "gain.py", "their_patch.py", "sclip.py"} <= found
    assert not any("torch" in path.parts or "mmengine" in path.parts for path in code_files(config))
