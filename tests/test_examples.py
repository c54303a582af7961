"""The method outside of the repository, and that of docs/own_method.md: they run as they are written, by every door."""

import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from mmseg import registry as mmseg_registry

from mmseg_tfovss.catalogue import config_folder
from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.single import build_method, segment_file
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.registry import MODELS
from tests.parity.cases import FOLDER

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
IMAGE = FOLDER / "images" / "coffee.png"


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """The examples in a folder of their own, with the repository's configs by their path."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "my_lab").mkdir()
    for path in EXAMPLES.rglob("*.py"):
        text = path.read_text().replace('"../configs/', f'"{ROOT}/configs/')
        (folder / path.relative_to(EXAMPLES)).write_text(text)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


def label(config):
    model = build_method(config, "cpu")
    return model, segment_file(model, IMAGE, keep_logits=True)


def test_a_method_of_ones_own_with_a_network_and_a_step_on_pixels(outside):
    model, found = label(load_config(outside / "edge_smoothing_pocket_all.py"))
    assert type(model).__module__ == "my_lab.edge_smoothing"
    assert [network.name for network in model.networks().values()][1:] == ["SobelEdges"]
    plain = load_config(ROOT / "configs/sclip/sclip_vit-pocket_pocket_all.py")
    _, unsmoothed = label(plain)
    assert found.pred.shape == unsmoothed.pred.shape
    assert (found.pred != unsmoothed.pred).any()
    logits = torch.from_numpy(unsmoothed.seg_logits)
    rough, smooth = (maps.diff(dim=2).abs().mean() for maps in (logits, torch.from_numpy(found.seg_logits)))
    assert smooth < rough


def test_it_stands_inside_lht_clip_and_dslo(outside):
    config = load_config(outside / "edge_smoothing_wrapped.py")
    model, found = label(config)
    assert type(model.base.base).__name__ == "EdgeSmoothing"
    assert list(model.networks()) == ["backbone", "base.base.edges", "graph"]
    assert found.pred.max() > 0
    config.model.base.base.size = 15
    _, wider = label(config)
    assert (found.pred != wider.pred).any()  # its refinement comes before DSLO's


@pytest.mark.slow
def test_tools_run_it(outside, tmp_path):
    import os
    import subprocess

    command = [sys.executable, ROOT / "tools/test.py", outside / "edge_smoothing_wrapped.py", "--work-dir", tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(outside)}
    options = ["--cfg-options", "test_dataloader.dataset.indices=2", f"test_dataloader.dataset.data_root={tmp_path}/p"]
    subprocess.run([*command, *options], check=True, env=environment, cwd=tmp_path)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["backbone"].endswith("/pocket + SobelEdges + CLIPGraph(ViT-128x12-8/pocket)")
    assert result["setting"].startswith("around LHTCLIP (around EdgeSmoothing (edges=SobelEdges)")


def test_method_of_the_documentation_is_one(tmp_path):
    """The file and the config of docs/own_method.md, as they stand there."""
    section = (ROOT / "docs/own_method.md").read_text()
    method, config = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)[:2]
    method, config = (text.replace("MyMethod", "MethodOfTheDocs") for text in (method, config))  # somebody may have it
    for needed in ("arXiv:", "Official code: ", "Deviations"):
        assert needed in method
    module = ModuleType("mymethod")
    try:
        exec(compile(method, "mymethod.py", "exec"), module.__dict__)
        kind = MODELS.get("MethodOfTheDocs")
        assert issubclass(kind, OpenVocabSegmentor)
        path = tmp_path / "mymethod_vit-pocket_pocket_all.py"
        path.write_text(config.replace('"../_base_/', f'"{ROOT}/configs/_base_/'))
        _, found = label(load_config(path))
        assert found.pred.max() > 0
    finally:
        MODELS.module_dict.pop("MethodOfTheDocs", None)


def test_method_of_the_documentation_without_a_clone(tmp_path, monkeypatch):
    """A folder with the copied bases, the method's file, and the configs that import it."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/own_method.md").read_text(), flags=re.DOTALL)
    method, _, _, config, around, _ = (text.replace("MyMethod", "MethodElsewhere") for text in blocks)
    shutil.copytree(config_folder() / "_base_", tmp_path / "_base_")
    monkeypatch.syspath_prepend(tmp_path)
    paths = [tmp_path / name for name in ("mymethod_vit-pocket_pocket_all.py", "around.py")]
    for path, text in zip([tmp_path / "mymethod.py", *paths], (method, config, around), strict=True):
        path.write_text(text)
    try:
        for path, name in zip(paths, ("MethodElsewhere", "LHTCLIP"), strict=True):
            model, found = label(load_config(path))
            assert type(model).__name__ == name
            assert found.pred.max() > 0
    finally:
        sys.modules.pop("mymethod", None)
        for registry in (MODELS, mmseg_registry.MODELS):
            registry.module_dict.pop("MethodElsewhere", None)
