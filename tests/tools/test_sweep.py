"""sweep.py as a user types it (in this process: starting another takes seconds)."""

import runpy
import sys

import pytest
from PIL import Image

from tests.engine.test_run import make_voc
from tests.tools.test_command_lines import ROOT, SCLIP

CLIPTRASE = ROOT / "configs/cliptrase/cliptrase_vit-b16_voc21.py"


@pytest.fixture
def sweep(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder: exit code, what it printed, and its errors."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["sweep.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(ROOT / "tools/sweep.py"), run_name="__main__")
        return end.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def small(mini_clip, tmp_path):
    weights = (f"model.backbone.pretrained={mini_clip}", "model.backbone.arch=auto")
    data = (f"test_dataloader.dataset.data_root={make_voc(tmp_path)}", "test_dataloader.num_workers=0")
    return ("--cfg-options", *weights, *data, "model.decode_head.templates=photo", "short_side=48")


def test_a_grid_of_two_options(sweep, small, tmp_path):
    command = ("model.eps=0.7,0.8", CLIPTRASE, "--samples", "2", "model.min_samples=2,4", "--out", "out")
    code, printed, _ = sweep(*command, *small)
    assert code == 0
    first, *written = printed.splitlines()
    assert first.startswith("Best mIoU: ")
    assert " with model.eps=0." in first
    assert written == ["Written: out/sweep.csv", "Written: out/sweep.md", "Written: out/sweep.png"]
    rows = (tmp_path / "out/sweep.csv").read_text().splitlines()
    assert rows[0] == "model.eps,model.min_samples,mIoU,pAcc,mAcc,fwIoU,images,error,run_hash"
    assert [row.split(",")[:2] for row in rows[1:]] == [["0.7", "2"], ["0.7", "4"], ["0.8", "2"], ["0.8", "4"]]
    assert "# cliptrase_vit-b16_voc21, 2 images" in (tmp_path / "out/sweep.md").read_text()
    with Image.open(tmp_path / "out/sweep.png") as picture:
        assert min(picture.size) > 300


def test_a_failed_combination_is_said_at_the_end_and_in_the_exit_code(sweep, small, tmp_path):
    code, printed, _ = sweep(CLIPTRASE, "model.eps=0,0.8", "--device", "cpu", *small)
    assert code == 1
    lines = printed.splitlines()
    folder = "work_dirs/analysis/cliptrase_vit-b16_voc21_sweep"
    assert lines[0].endswith("with model.eps=0.8")
    assert lines[-1] == f"Failed: 1 of 2 combinations, see the column 'error' of {folder}/sweep.csv."
    assert "model.eps must be a positive number" in (tmp_path / folder / "sweep.md").read_text()


def test_several_configs(sweep, small, tmp_path):
    clip = ROOT / "configs/clip/clip_vit-b16_voc21.py"
    swept = ("model.test_cfg.crop_size=32,48", "--out", "out")
    code, printed, _ = sweep(SCLIP, clip, *swept, *small, "model.test_cfg.stride=16")
    assert code == 0
    assert printed.startswith("Best mIoU on voc21: ")
    rows = [row.split(",")[:3] for row in (tmp_path / "out/sweep.csv").read_text().splitlines()]
    assert rows[0] == ["config", "dataset", "model.test_cfg.crop_size"]
    assert [row[0] for row in rows[1:]] == ["sclip_vit-b16", "sclip_vit-b16", "clip_vit-b16", "clip_vit-b16"]
    assert (tmp_path / "out/sweep.md").read_text().startswith("# sclip_vit-b16_voc21 and 1 more, 3 images")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ((CLIPTRASE, "model.eps="), "error: A sweep takes KEY=VALUE,VALUE,... without empty values"),
        ((CLIPTRASE,), "error: There is nothing to sweep: name options and their values"),
        (("model.eps=1,2",), "error: Name the config to sweep, e.g. configs/dslo/"),
        (("none.py", "model.eps=1,2"), "error: Config none.py not found."),
    ],
)
def test_mistakes_are_one_sentence(sweep, command, message, tmp_path):
    code, printed, errors = sweep(*command)
    assert (code, printed) == (1, "")
    assert errors.startswith(message)
    assert len(errors.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
