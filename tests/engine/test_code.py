"""The code that a run goes through: all of it, and no other method's."""

import sys

import pytest

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine import code
from mmseg_tfovss.engine.code import PACKAGE, code_files, code_hash
from tests.engine.test_run import CONFIG

FOLDER = CONFIG.parents[1]


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
    assert not any(name.startswith(("analysis/", "solvers/", "datasets/prepare/")) for name in found)


def test_every_part_of_a_method_of_parts():
    base = {"type": "LHTCLIP", "base": {"type": "CLIPtrase"}}
    config = load_config(FOLDER / "dslo/dslo_vit-b16_voc21.py", {"model.base": base})
    expected = {f"methods/{name}.py" for name in ("dslo", "lht_clip", "cliptrase", "region_voting", "base")}
    found = names(config)
    assert {name for name in found if name.startswith("methods/")} == expected
    assert {"encoders/stable_diffusion.py", "solvers/sinkhorn.py", "ops/clustering.py"} <= found


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


def test_a_method_of_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "users_method.py").write_text(
        "from mmseg_tfovss.methods.sclip import SCLIP\nfrom mmseg_tfovss.ops import roc\nclass Mine(SCLIP):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import users_method

    config = load_config(CONFIG)
    config.model.type = users_method.Mine
    found = code_files(config)
    assert {tmp_path / "users_method.py", PACKAGE / "methods/sclip.py", PACKAGE / "ops/roc.py"} <= found
    del sys.modules["users_method"]


def test_methods_use_other_methods_by_inheritance_only():
    """Else a method that is no base class would count as another one's code, which is right, but rarely meant."""
    for path in sorted((PACKAGE / "methods").glob("*.py")):
        imported = {one.stem for one in code._imports(path) if one.parent == path.parent}
        if path.stem != "__init__":
            assert imported <= {"base", "region_voting", "cliptrase", "__init__"}, path


@pytest.mark.parametrize("kind", ["NoSuchMethod", 3, None])
def test_unknown_types_are_left_to_the_check_of_settings(kind):
    config = load_config(CONFIG)
    config.model.type = kind
    assert PACKAGE / "engine/run.py" in code_files(config)
