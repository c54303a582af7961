"""tools/demo.py: images that are none are told before weights are loaded."""

import runpy
import sys
from pathlib import Path

import pytest

from tests.datasets.test_files import huge_png

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs/sclip/sclip_vit-b16_voc21.py"  # its weights are not there


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.png", "The image none.png does not exist."),
        ("folder", "The image folder is a folder: name a file."),
        ("empty.png", "The image empty.png is empty (0 bytes): replace the file."),
        ("bomb.png", "The image bomb.png has 1600000000 pixels, but at most 134217728 are read: shrink it, or cut it"),
        ("page.png", "The image page.png is truncated or damaged, or in none of the formats that are read: JPEG,"),
    ],
)
def test_an_image_that_is_none_is_one_sentence(name, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("empty.png").touch()
    Path("bomb.png").write_bytes(huge_png(40_000))
    Path("page.png").write_text("<html>")
    monkeypatch.setattr(sys, "argv", ["demo.py", name, str(CONFIG)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "tools/demo.py"), run_name="__main__")
    said = capsys.readouterr()
    assert (end.value.code, said.out) == (1, "")
    assert said.err.startswith(f"error: {message}")
    assert len(said.err.splitlines()) == 1
