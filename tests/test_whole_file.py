"""Files appear complete or not at all."""

import pytest

from mmseg_tfovss.whole_file import whole_file


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
