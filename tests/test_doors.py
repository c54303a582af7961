"""The same number by every door: tools/, MMEngine's Runner, and MMSegmentation's own functions."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import mmseg
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.apis import MMSegInferencer, inference_model, init_model
from PIL import Image

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.engine.single import build_method, segment_file
from tests.engine.test_run import make_voc

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
LEAVES = sorted(path for path in CONFIGS.rglob("*.py") if "_base_" not in path.parts)
POCKET = sorted(CONFIGS.glob("*/*_vit-pocket*_pocket_*.py"))
IMAGE = Path(__file__).parent / "parity" / "images" / "coffee.png"
# What tools/ add to a config, and what only they read.
POCKET_DATA = ROOT / "data" / "pocket"
TOOLS_OWN = {"run_name", "overrides", "work_dir", "unified"}
# In a process of its own, which has imported nothing of ours: labels of one image, and scores of the dataset.
DOORS = """
import sys
from pathlib import Path
import numpy as np
leaf, image, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
from mmengine.config import Config
from mmengine.runner import Runner
config = Config.fromfile(leaf)
config.work_dir = str(folder / "runner")
scores = Runner.from_cfg(config).test()
assert not any(path.name == "state" for path in folder.rglob("*"))
import mmcv
from mmseg.apis import MMSegInferencer, inference_model, init_model, show_result_pyplot
def labels(sample):
    return sample.pred_sem_seg.data[0].numpy()
model = init_model(leaf, None, device="cpu")
by_path = inference_model(model, image)
pixels = mmcv.imread(image)
square = model.cfg.model.get("centre_square")
drawn = pixels if square else show_result_pyplot(model, image, by_path, show=False)
assert drawn.shape == pixels.shape
model = init_model(leaf, None, device="cpu")
by_array, by_list = inference_model(model, pixels), inference_model(model, [pixels, pixels[:, ::-1].copy(), pixels])
inferred = MMSegInferencer(model=leaf, device="cpu", show_progress=False)(image)["predictions"]
found = [labels(by_path), labels(by_array), labels(by_list[0]), labels(by_list[2]), inferred]
np.savez(folder / "doors.npz", *found, classes=np.array(model.dataset_meta["classes"]), **scores)
"""


def own_leaf(folder, leaf, **dataset):
    """A user's file on a leaf, with a dataset elsewhere."""
    path = folder / f"own_{leaf.name}"
    settings = ", ".join(f"{name}={value!r}" for name, value in dataset.items())
    path.write_text(f"_base_ = {str(leaf)!r}\ntest_dataloader = dict(num_workers=0, dataset=dict({settings}))\n")
    return path


def run_python(folder, *arguments):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_what_tools_read_is_what_every_file_says():
    """In a leaf's own protocol; nothing is filled in later: words, size and windows stand in the file."""
    for path in LEAVES:
        ours, stock = load_config(path), Config.fromfile(path)
        assert ours.overrides == {}, path
        assert {"type", "backbone", "decode_head", "test_cfg", "short_side"} <= set(stock.model), path
        assert "vocabulary" in stock.model.decode_head, path
        assert stock.test_pipeline == stock.test_dataloader.dataset.pipeline, path
        assert stock.custom_imports.imports, path
        settings = [{name: config[name] for name in config if name not in TOOLS_OWN} for config in (ours, stock)]
        assert settings[0] == settings[1], path


def test_the_doors_that_share_a_process(tmp_path, capsys):
    """The Runner's scores and MMSegmentation's labels, on two pocket scenes."""
    leaf = own_leaf(tmp_path, CONFIGS / "sclip/sclip_vit-pocket_pocket_thing.py", data_root=str(POCKET_DATA), indices=2)
    with leaf.open("a") as file:
        file.write("model = dict(short_side=96, test_cfg=dict(crop_size=64, stride=32))\n")
    stock, config = Config.fromfile(leaf), load_config(leaf)
    stock.work_dir, config.work_dir = str(tmp_path / "stock"), str(tmp_path / "ours")
    scores = Runner.from_cfg(stock).test()
    result = run_test(config)
    assert scores == {f"seg/{name}": value for name, value in result["metrics"].items()}
    expected = segment_file(build_method(config, "cpu"), IMAGE).pred
    model, inferencer = init_model(leaf, None, device="cpu"), MMSegInferencer(model=str(leaf), device="cpu")
    assert np.array_equal(inference_model(model, str(IMAGE)).pred_sem_seg.data[0].numpy(), expected)
    assert np.array_equal(inferencer(str(IMAGE))["predictions"], expected)


def check_doors(leaf, folder):
    """Run all doors for a leaf whose dataset is there, and compare them to the bit."""
    script = folder / "doors.py"
    script.write_text(DOORS)
    run_python(folder, script, leaf, IMAGE, folder)
    run_python(folder, ROOT / "tools" / "test.py", leaf, "--work-dir", folder / "tested")
    result = json.loads((folder / "tested" / "result.json").read_text())
    config = load_config(leaf)
    expected = segment_file(build_method(config, "cpu"), IMAGE)
    run_python(folder, ROOT / "tools" / "demo.py", IMAGE, leaf, "--out-dir", folder / "demo")
    mask = np.array(Image.open(folder / "demo" / f"{IMAGE.stem}_mask.png"))
    with np.load(folder / "doors.npz") as doors:
        for name in ("mIoU", "pAcc", "mAcc", "fwIoU"):
            assert float(doors[f"seg/{name}"]) == result["metrics"][name], name
        for index in range(5):
            assert np.array_equal(doors[f"arr_{index}"], expected.pred), index
        assert len(doors["classes"]) == len(expected.names)
    assert np.array_equal(mask, expected.pred)
    return mask


def pocket_leaf(folder, leaf):
    """The same, with four of the pocket scenes."""
    return own_leaf(folder, leaf, data_root=str(POCKET_DATA), indices=4)


@pytest.mark.slow
@pytest.mark.parametrize("leaf", POCKET, ids=lambda path: path.stem)
def test_every_door_of_every_pocket_leaf(leaf, tmp_path):
    labels = check_doors(pocket_leaf(tmp_path, leaf), tmp_path)
    assert len(np.unique(labels)) > 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "leaf",
    [
        "clearclip/clearclip_vit-b16_voc21.py",
        "cliptrase/cliptrase_vit-b16_voc21.py",
        "gem/gem_vit-b16_voc21.py",
        "sclip/sclip_vit-b16_voc21.py",
    ],
)
def test_every_door_of_paper_leaves_on_tiny_weights(leaf, tiny_clip, tmp_path):
    """ClearCLIP: 448 pixels; CLIPtrase: the centre square; GEM: a stretched one; SCLIP: both thresholds."""
    root = make_voc(tmp_path)
    path = own_leaf(tmp_path, CONFIGS / leaf, data_root=str(root))
    with path.open("a") as file:
        file.write(f'model = dict(backbone=dict(arch="auto", pretrained={str(tiny_clip)!r}, quick_gelu=True))\n')
    check_doors(path, tmp_path)


@pytest.mark.slow
def test_mmsegmentations_own_test_command(tmp_path):
    """``LEAF none``: there is no checkpoint; a real one is refused, for it would not act."""
    leaf = pocket_leaf(tmp_path, CONFIGS / "sclip/sclip_vit-pocket_pocket_all.py")
    command = Path(mmseg.__path__[0]) / ".mim" / "tools" / "test.py"
    run_python(tmp_path, command, leaf, "none", "--work-dir", tmp_path / "theirs")
    wrong = subprocess.run([sys.executable, command, leaf, "a.pth"], cwd=tmp_path, capture_output=True, text=True)
    assert wrong.returncode
    assert "The checkpoint a.pth has no effect" in wrong.stderr


def test_a_short_side_at_the_top_of_a_file_is_the_models_by_every_door(mini_clip, tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        f"_base_ = {str(CONFIGS / 'sclip/sclip_vit-b16_voc21.py')!r}\nshort_side = 48\n"
        f'model = dict(backbone=dict(arch="auto", pretrained={str(mini_clip)!r}, quick_gelu=True),'
        ' test_cfg=dict(crop_size=32, stride=16), decode_head=dict(templates="photo"))\n'
    )
    model, config = init_model(path, None, device="cpu"), load_config(path)
    assert config.model.short_side == model.data_preprocessor.short_side == 48
    stock = inference_model(model, str(IMAGE)).pred_sem_seg.data[0].numpy()
    assert np.array_equal(segment_file(build_method(config, "cpu"), IMAGE).pred, stock)


def test_pictures_name_the_words_and_not_cityscapes(build_method):
    model = build_method("SCLIP")
    model.dataset_meta = {"classes": ("road", "sidewalk"), "palette": [[0, 0, 0]] * 2}
    assert model.dataset_meta["classes"] == ("sky", "cat", "cup", "flower")
    assert len(model.dataset_meta["palette"]) == 4


def test_an_image_that_a_pipeline_resizes_is_refused_by_mmsegmentation_too(mini_clip, tmp_path):
    config = Config.fromfile(CONFIGS / "sclip/sclip_vit-b16_voc21.py")
    config.model.backbone.update(arch="auto", pretrained=str(mini_clip), quick_gelu=True)
    config.test_pipeline.insert(1, {"type": "Resize", "scale": (100, 50), "keep_ratio": True})
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((60, 80, 3), np.uint8))
    with pytest.raises(ValueError, match=r"comes as 50x67, but the model resizes it itself \(model\.short_side=336\)"):
        inference_model(init_model(config, None, device="cpu"), str(tmp_path / "a.png"))
