"""tools/compare.py as a user starts it."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
CHINA = ROOT / "tests/parity/images/china.png"


def run(*arguments, cwd):
    command = [sys.executable, ROOT / "tools/compare.py", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([CHINA], "name at least one image and one config"),
        ([CONFIGS / "clip/clip_vit-b16_voc21.py"], "name at least one image and one config"),
        ([CHINA, "a.py", "--cell", "0"], "--cell must be at least 1 pixel"),
        (["grid.png", "a.py"], "--out grid.png is one of the images, which it would replace"),
        ([CHINA, "a.py", "--classes", "a; b", "--ground-truth", "auto"], "leave --classes,"),
        ([CHINA, "a.py", "--classes-file", "words", "--ground-truth", "auto"], "leave --classes-file,"),
    ],
)
def test_mistakes_of_the_command_line(arguments, message, tmp_path):
    answer = run(*arguments, "--out", "grid.png", cwd=tmp_path)
    assert answer.returncode == 2
    assert message in answer.stderr


def test_help(tmp_path):
    answer = run("--help", cwd=tmp_path)
    assert answer.returncode == 0
    assert "IMAGE... CONFIG... --out GRID.png" in answer.stdout


@pytest.mark.slow
def test_grid_of_any_image_with_any_words(mini_clip, tmp_path):
    configs = [CONFIGS / f"{name}/{name}_vit-b16_{data}.py" for name, data in (("clip", "voc21"), ("sclip", "ade20k"))]
    weights = (
        f"model.backbone.pretrained={mini_clip}",
        "model.backbone.arch=auto",
        "model.backbone.quick_gelu=True",
        "model.decode_head.templates=photo",
    )
    size = ("model.test_cfg.crop_size=32", "model.test_cfg.stride=16", "--short-side", "64")
    words = ("--classes", "sky, cloud; temple; tree", "--cell", "60")
    answer = run(
        CHINA, CHINA, *configs, "--out", "out/grid.png", *words, "--cfg-options", *weights, *size, cwd=tmp_path
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    read, background, written = answer.stdout.splitlines()
    assert read == "3 classes (4 words): sky, temple, tree"
    assert background.startswith('clip_vit-b16_voc21: note: class 0 ("sky") is the background: pixels below')
    assert written == "Written: out/grid.png"
    with Image.open(tmp_path / "out/grid.png") as grid:
        assert grid.width == 3 * 60 + 4 * 6
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["grid.png"]


@pytest.mark.slow
def test_mistakes_are_one_sentence(tmp_path):
    missing = run(CHINA, CONFIGS / "clip/clip_vit-b16_voc21.py", "--out", "a.png", cwd=tmp_path)
    assert missing.returncode == 1
    assert missing.stderr.startswith("error: The weights ViT-B-16/openai")
    assert len(missing.stderr.splitlines()) == 1
    nothing = run("none.png", CONFIGS / "clip/clip_vit-pocket_pocket_all.py", "--out", "a.png", cwd=tmp_path)
    assert nothing.stderr == "error: The image none.png does not exist.\n"
    ending = run(CHINA, CONFIGS / "none.py", "--out", "g/grid", cwd=tmp_path)  # said before anything is read
    assert (
        ending.stderr == "error: --out g/grid has no ending: use one of .png, .jpg, .jpeg, .webp, .tif, .tiff, .pdf.\n"
    )
    assert list(tmp_path.iterdir()) == []
