"""Files appear complete or not at all."""

import pytest
from matplotlib.figure import Figure
from PIL import Image

from mmseg_tfovss.whole_file import PICTURE_ENDINGS, check_target, whole_file


def test_file_appears_when_the_block_ends(tmp_path):
    with whole_file(tmp_path / "a" / "x.txt") as scratch:
        scratch.write_text("new")
        assert scratch.suffix == ".txt"
        assert not (tmp_path / "a" / "x.txt").exists()
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["x.txt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("bug")])
def test_failure_keeps_the_old_file_and_leaves_nothing_behind(error, tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def write():
        with whole_file(path) as scratch:
            scratch.write_text("half")
            raise error

    with pytest.raises(type(error)) as caught:
        write()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["x.txt"]
    if isinstance(error, OSError):
        assert caught.value.filename == str(path)


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file/x"), whole_file(tmp_path / "file" / "x.txt"):
        pass


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("noext", r"--out .*noext has no ending: use one of \.png, "),
        ("a.txt", r"--out .*a\.txt has the ending \.txt: use one of \.png, "),
        ("folder.png", r"--out .*folder\.png is a folder: name a file, e\.g\. .*folder\.png/picture\.png"),
        ("file/a.png", r"--out .*a\.png cannot be written \(.*file: Not a directory\): name a folder"),
        (f"{'a' * 250}.png", r"cannot be written \(.*File name too long\)"),
    ],
)
def test_target_that_could_not_be_written_is_refused_before_the_work(name, message, tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=message):
        check_target(tmp_path / name, "--out", PICTURE_ENDINGS)


def test_target_is_checked_without_making_anything(tmp_path):
    check_target(tmp_path / "new/folder/A.PNG", "--out", PICTURE_ENDINGS)
    check_target(tmp_path / "table", "--out")
    (tmp_path / "old.png").write_text("old")
    check_target(tmp_path / "old.png", "--out", PICTURE_ENDINGS)
    assert (tmp_path / "old.png").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["old.png"]


@pytest.mark.parametrize("ending", PICTURE_ENDINGS)
def test_pictures_have_one_of_these_endings(ending, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / f"pillow{ending}")
    Figure(figsize=(1, 1)).savefig(tmp_path / f"matplotlib{ending}")
