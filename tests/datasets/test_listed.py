"""Images and masks in pairs: what a list says, and what is refused."""

import pytest

from mmseg_tfovss.datasets.listed import ListedDataset, read_pairs, write_pairs
from mmseg_tfovss.engine.preflight import check_files

FOLDERS = {"img_path": "images", "seg_map_path": "masks"}


def make(folder, **options):
    return ListedDataset(
        ann_file="pairs.txt",
        data_root=str(folder),
        data_prefix=dict(FOLDERS),
        metainfo={"classes": ("cat", "dog"), "ignore_index": None},
        test_mode=True,
        **options,
    )


def test_names_need_not_resemble_each_other(tmp_path):
    write_pairs([("b.jpg", "x/2.png"), ("a b.PNG", "1.tif")], tmp_path / "pairs.txt")
    found = [make(tmp_path).get_data_info(number) for number in range(2)]
    assert [sample["img_path"] for sample in found] == [f"{tmp_path}/images/b.jpg", f"{tmp_path}/images/a b.PNG"]
    assert [sample["seg_map_path"] for sample in found] == [f"{tmp_path}/masks/x/2.png", f"{tmp_path}/masks/1.tif"]


def test_a_missing_mask_is_named(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").touch()
    write_pairs([("a.jpg", "a.png")], tmp_path / "pairs.txt")
    with pytest.raises(FileNotFoundError, match=r"1 of 1 samples lack their annotation: .*/masks/a\.png"):
        check_files(make(tmp_path), "mine")


@pytest.mark.parametrize("line", ["a.jpg", "a.jpg\t", "\ta.png", "a.jpg\ta.png\tb.png", ""])
def test_a_line_that_is_no_pair_is_named(line, tmp_path):
    (tmp_path / "pairs.txt").write_text(f"a.jpg\ta.png\n{line}\n")
    with pytest.raises(ValueError, match=r"Line 2 of .*pairs\.txt must be an image, a tab and its mask"):
        read_pairs(tmp_path / "pairs.txt")


@pytest.mark.parametrize("name", ["a\tb.png", "a\nb.png", "a\x85b.png"])
def test_a_name_that_cannot_be_listed_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="rename the file"):
        write_pairs([("a.png", name)], tmp_path / "pairs.txt")
    assert not (tmp_path / "pairs.txt").exists()


def test_endings_would_not_act(tmp_path):
    write_pairs([("a.jpg", "a.png")], tmp_path / "pairs.txt")
    with pytest.raises(ValueError, match="no option img_suffix"):
        make(tmp_path, img_suffix=".png")
