"""Tools that read images draw the pocket benchmark before they look for one of its files."""

import importlib.util
import sys
from pathlib import Path

import pytest

from mmseg_tfovss.pocket import files

ROOT = Path(__file__).parents[2]
IMAGE, TRUTH = "data/pocket/images/val/0000.png", "data/pocket/annotations_all/val/0000.png"
SCLIP = ROOT / "configs/sclip/sclip_vit-pocket_pocket_all.py"
CLIPTRASE = ROOT / "configs/cliptrase/cliptrase_vit-pocket_pocket_all.py"
DSLO = ROOT / "configs/dslo/dslo_vit-pocket_pocket_all.py"


@pytest.mark.parametrize(
    ("tool", "arguments", "asked"),
    [
        ("demo", [IMAGE, SCLIP], IMAGE),
        ("compare", [IMAGE, SCLIP, "--out", "grid.png"], IMAGE),
        ("compare", ["photo.png", SCLIP, "--out", "grid.png", "--ground-truth", TRUTH], TRUTH),
        ("analyze", ["global-patches", IMAGE, CLIPTRASE], IMAGE),
        ("analyze", ["discrepancy", IMAGE, DSLO], IMAGE),
    ],
)
def test_files_are_drawn_before_they_are_looked_for(tool, arguments, asked, monkeypatch, tmp_path, capsys):
    def refuse(path):
        if path == Path(asked):
            raise ValueError("It would be drawn.")

    monkeypatch.setattr(files, "ensure_pocket_file", refuse)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{tool}.py", *map(str, arguments)])
    specification = importlib.util.spec_from_file_location(tool, ROOT / f"tools/{tool}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    with pytest.raises(SystemExit) as stop:
        module.main()
    assert (stop.value.code, capsys.readouterr().err) == (1, "error: It would be drawn.\n")
