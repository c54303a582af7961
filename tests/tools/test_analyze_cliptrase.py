"""analyze.py's command about CLIPtrase, as a user types them (in this process: starting another takes seconds)."""

import runpy
import sys

import pytest
from PIL import Image

from tests.tools.test_command_lines import ROOT, SCLIP

CLIPTRASE = ROOT / "configs/cliptrase/cliptrase_vit-b16_voc21.py"
PHOTO = ROOT / "tests/parity/images/china.png"


@pytest.fixture
def analyze(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder: exit code, what it printed, and its errors."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["analyze.py", *map(str, arguments)])
        try:
            runpy.run_path(str(ROOT / "tools/analyze.py"), run_name="__main__")
        except SystemExit as error:
            return error.code, *capsys.readouterr()
        return 0, *capsys.readouterr()

    return run


@pytest.fixture
def small(mini_clip):
    weights = (f"model.backbone.pretrained={mini_clip}", "model.backbone.arch=auto")
    return ("--cfg-options", *weights, "model.decode_head.templates=photo", "short_side=48")


def test_global_patches(analyze, small, tmp_path):
    command = ("global-patches", PHOTO, CLIPTRASE, "--layers", 1, 3, "--patch", 2, 5, "--device", "cpu", *small)
    assert analyze(*command) == (0, "Written: work_dirs/analysis/china_global_patches.png\n", "")
    with Image.open(tmp_path / "work_dirs/analysis/china_global_patches.png") as picture:
        assert min(picture.size) > 600
    assert len(list((tmp_path / "work_dirs/analysis").iterdir())) == 1


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("global-patches", "none.png", CLIPTRASE), "error: The image none.png does not exist."),
        (("global-patches", PHOTO, SCLIP), "error: global-patches shows what CLIPtrase recovers"),
    ],
)
def test_mistakes_are_one_sentence(analyze, command, message, tmp_path):
    code, printed, errors = analyze(*command)
    assert (code, printed) == (1, "")
    assert errors.startswith(message)
    assert len(errors.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
