"""Files of the benchmark: drawn when one is asked for, and only then."""

from pathlib import Path

import pytest

from mmseg_tfovss.pocket import scenes, training_split
from mmseg_tfovss.pocket.files import ensure_pocket_file

IMAGE = "images/val/0000.png"


@pytest.fixture
def drawn(monkeypatch):
    """What would be drawn, and where."""
    roots = []
    monkeypatch.setattr(scenes, "ensure_scenes", lambda root: roots.append(("val", root)))
    monkeypatch.setattr(training_split, "ensure_training_scenes", lambda root: roots.append(("train", root)))
    return roots


@pytest.mark.parametrize(
    ("name", "split"),
    [
        (IMAGE, "val"),
        ("images/val/../val/0199.png", "val"),
        ("annotations_all/val/0001.png", "val"),
        ("annotations_thing/val/0001.png", "val"),
        ("images/train/0499.png", "train"),
    ],
)
def test_file_that_is_not_there_is_drawn_and_that_is_said(name, split, drawn, tmp_path, capsys):
    ensure_pocket_file(tmp_path / "data/pocket" / name)
    assert drawn == [(split, tmp_path / "data/pocket")]
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert f"Drawing the scenes of the pocket benchmark into {tmp_path}/data/pocket" in captured.err


def test_relative_path_counts_from_here(drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ensure_pocket_file(Path("data/pocket") / IMAGE)
    monkeypatch.chdir(tmp_path.parent)
    ensure_pocket_file(Path(tmp_path.name, "data/pocket", IMAGE))
    assert drawn == [("val", tmp_path / "data/pocket")] * 2


@pytest.mark.parametrize(
    "path",
    [
        "pocket/images/val/0000.png",
        "data/images/val/0000.png",
        "data/pocket/../images/val/0000.png",
        "data/pocket/images/val/0200.png",
        "data/pocket/images/train/0500.png",
        "data/pocket/images/val/0000.jpg",
        "data/pocket/photo.png",
        "data/pocket",
        "photo.png",
    ],
)
def test_other_files_are_nobodys_business(path, drawn, tmp_path, capsys):
    ensure_pocket_file(tmp_path / path)
    assert drawn == []
    assert capsys.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_there_is_left_alone(drawn, tmp_path):
    path = tmp_path / "data/pocket" / IMAGE
    path.parent.mkdir(parents=True)
    path.touch()
    ensure_pocket_file(path)
    assert drawn == []


def test_half_drawn_folder_is_named(tmp_path):
    other = tmp_path / "data/pocket/images/val/0001.png"
    other.parent.mkdir(parents=True)
    other.touch()
    with pytest.raises(ValueError, match=rf"^{tmp_path}/data/pocket differs from the recorded pocket benchmark"):
        ensure_pocket_file(tmp_path / "data/pocket" / IMAGE)
    assert other.is_file()
