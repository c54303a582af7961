"""Names that terminals, markup and text files do not take as they are: the tools write there, and say where."""

import ast
import os
import runpy
import shlex
import sys
from functools import cache
from pathlib import Path

import pytest
from mmseg.datasets import PascalVOCDataset
from PIL import Image

from tests.engine.test_run import CONFIG, make_voc, small_options

ROOT = Path(__file__).parents[2]
SOURCES = [*ROOT.glob("tools/*.py"), *ROOT.glob("mmseg_tfovss/**/*.py")]
NAME = os.fsdecode(b"photo [final] \xff\x1b[31m")  # brackets, bytes that are no UTF-8, and a colour for terminals
SHOWN = r"photo [final] \xff\x1b[31m"
FOLDER = "[/b]"


@pytest.fixture
def start(mini_clip, tmp_path, monkeypatch, capsys):
    """Start a tool in a folder with an image and a dataset; what it printed."""
    monkeypatch.chdir(tmp_path)
    root = make_voc(tmp_path)
    Image.new("RGB", (40, 30), "red").save(f"{NAME}.png")
    options = small_options(root, mini_clip, "unused")
    del options["work_dir"]

    def run(tool, *arguments, with_data=True):
        given = [f"{key}={value}" for key, value in options.items() if with_data or not key.startswith("test_data")]
        monkeypatch.setattr(sys, "argv", [tool, *map(str, arguments), *(["--cfg-options", *given] if given else [])])
        runpy.run_path(str(ROOT / "tools" / tool), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run


def test_demo(start):
    said = start("demo.py", f"{NAME}.png", CONFIG, "--out-dir", FOLDER, with_data=False)
    assert said[-1:] == [f"Written to {FOLDER}: {SHOWN}_mask.png, {SHOWN}_overlay.png"]
    assert {path.name for path in Path(FOLDER).iterdir()} == {f"{NAME}_mask.png", f"{NAME}_overlay.png"}


@pytest.mark.slow
def test_compare(start):
    said = start("compare.py", f"{NAME}.png", CONFIG, "--out", f"{FOLDER}/{NAME}.png", with_data=False)
    assert said[-1:] == [f"Written: {FOLDER}/{SHOWN}.png"]
    assert Path(FOLDER, f"{NAME}.png").is_file()


@pytest.mark.slow
def test_a_run_and_its_leaderboard(start, tmp_path, monkeypatch, capsys):
    for folder, suffix in (("JPEGImages", ".jpg"), ("SegmentationClass", ".png")):
        Path("VOC2012", folder, f"0{suffix}").rename(Path("VOC2012", folder, f"{NAME}{suffix}"))
    (tmp_path / "VOC2012/ImageSets/Segmentation/val.txt").unlink()
    Path("own.py").write_text(
        f"_base_ = {str(CONFIG)!r}\ntest_dataloader = dict(dataset=dict(type='BaseSegDataset', ann_file='',"
        f" metainfo=dict(classes={PascalVOCDataset.METAINFO['classes']})))\n"
    )
    said = start("test.py", "own.py", "--work-dir", f"{FOLDER}/{NAME}", "--overlays", "3")
    assert said[-1] == f"Written: {FOLDER}/{SHOWN}/result.json"
    assert {path.name for path in Path(FOLDER, NAME, "overlays").iterdir()} >= {f"{NAME}_overlay.png"}
    monkeypatch.setattr(sys, "argv", ["leaderboard.py", FOLDER, "--out", "[/i]"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "tools/leaderboard.py"), run_name="__main__")
    assert "Written: [/i]/leaderboard.md" in capsys.readouterr().out


@pytest.mark.slow
def test_sweep(start):
    with pytest.raises(SystemExit) as end:
        start("sweep.py", CONFIG, "model.pamr_steps=0,1", "--out", f"{FOLDER}/{NAME}")
    assert end.value.code == 0
    assert Path(FOLDER, NAME, "sweep.csv").is_file()


@pytest.mark.slow
def test_benchmark(start):
    (Path(f"{NAME}.py")).write_text(f"_base_ = {str(CONFIG)!r}\n")
    said = start("benchmark.py", f"{NAME}.py", "--image", f"{NAME}.png", "--repeats", "1", "--device", "cpu")
    assert SHOWN in said[0]


def test_the_commands_of_preparing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["prepare_data.py", "voc21", "--check", "--root", f"{FOLDER}/{NAME}"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "tools/prepare_data.py"), run_name="__main__")
    assert end.value.code == 1
    said = capsys.readouterr().out
    assert f"{FOLDER}/{SHOWN}/VOCdevkit" in said
    assert shlex.quote(f"{FOLDER}/{SHOWN}") in said


@cache
def calls():
    """Every call in the package and the tools, with the name of what is called."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                function = node.func
                found.append((path, node, getattr(function, "attr", getattr(function, "id", ""))))
    return found


def is_plain(value):
    """A text without anything in it that is known at run time only, or one that rich takes as it is."""
    return (
        value is None
        or isinstance(value, ast.Constant)
        or (isinstance(value, ast.Name) and value.id.isupper())
        or (isinstance(value, ast.Call) and getattr(value.func, "id", "") in ("Text", "map"))
    )


def test_nothing_is_printed_as_markup():
    """What rich prints is a constant, a Text, or said to be no markup."""
    wrong, seen = [], set()
    for path, call, name in calls():
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        no_markup = isinstance(given.get("markup"), ast.Constant) and given["markup"].value is False
        column = name == "TextColumn" and call.args and not is_plain_column(call.args[0])
        printed = name == "print" and isinstance(call.func, ast.Attribute) and not all(map(is_table, call.args))
        titled = name == "Table" and not is_plain(given.get("title")) and not is_count(given["title"])
        seen |= {name} & {"TextColumn", "Table"}
        if (column or printed or titled) and not no_markup:
            wrong.append(f"{path.relative_to(ROOT)}:{call.lineno}")
    assert wrong == []
    assert seen == {"TextColumn", "Table"}


def is_plain_column(value):
    return isinstance(value, ast.Constant) and "{task" not in value.value


def is_table(value):
    return is_plain(value) or (isinstance(value, ast.Name) and value.id == "table")


def is_count(title):
    """A text with numbers only."""
    names = [part.value.id for part in title.values if isinstance(part, ast.FormattedValue)]
    return set(names) <= {"repeats"}


def test_tools_print_through_say():
    """Which shows what no terminal can: the built-in one fails at bytes that are no UTF-8, and passes controls on."""
    wrong = [
        f"{path.name}:{call.lineno}"
        for path, call, name in calls()
        if name == "print" and isinstance(call.func, ast.Name) and path.name != "leaderboard.py"
    ]
    assert wrong == []
