"""Which mask belongs to which image, by the names that people give them."""

import pytest

from mmseg_tfovss.own_data.pairs import find_pairs
from mmseg_tfovss.own_data.split import only_listed


@pytest.fixture
def folders(tmp_path):
    def make(images, masks):
        for folder, names in (("images", images), ("masks", masks)):
            for name in names:
                path = tmp_path / folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        return tmp_path / "images", tmp_path / "masks"

    return make


NUMBERS = ("008550", "008580", "010020", "1", "10", "100")


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{}.jpg", "{}.png"),
        ("{}.png", "{}_L.png"),
        ("{}_leftImg8bit.png", "{}_gtFine_labelIds.png"),
        ("{}_sat.jpg", "{}_mask.png"),
        ("im{}.tif", "im{}gt.tif"),
        ("img_{}.jpg", "mask_{}.png"),
        ("{}.JPG", "label-{}.bmp"),
        ("city/{}.png", "city/{}_L.png"),
        ("a.b.{}.png", "a.b.{}.L.png"),
    ],
)
def test_names(folders, image, mask):
    images = [image.format(number) for number in NUMBERS]
    masks = [mask.format(number) for number in NUMBERS]
    found = find_pairs(*folders(images, masks))
    assert sorted(found.pairs) == sorted(zip(images, masks, strict=True))
    assert (found.alone, found.spare) == ([], [])


def test_what_has_no_partner(folders):
    found = find_pairs(*folders(["a.jpg", "b.jpeg", "c.png", ".d.jpg", "notes.txt"], ["a.png", "c.png", "e.png"]))
    assert found.pairs == [("a.jpg", "a.png"), ("c.png", "c.png")]
    assert (found.alone, found.spare) == (["b.jpeg"], ["e.png"])


def test_masks_of_several_kinds(folders):
    kinds = ("color", "instanceIds", "labelIds")
    given = folders(
        [f"{n}_leftImg8bit.png" for n in NUMBERS], [f"{n}_gtFine_{kind}.png" for n in NUMBERS for kind in kinds]
    )
    with pytest.raises(ValueError, match=r"several masks: choose one with --mask-suffix \('_gtFine_color.png', "):
        find_pairs(*given)
    found = find_pairs(*given, mask_suffix="_gtFine_labelIds.png")
    assert [mask for _, mask in found.pairs] == sorted(f"{n}_gtFine_labelIds.png" for n in NUMBERS)
    assert found.spare == []


def test_images_of_several_kinds(folders):
    given = folders(["1_rgb.png", "1_depth.png", "2_rgb.png", "2_depth.png"], ["1.png", "2.png"])
    assert find_pairs(*given, image_suffix="_rgb.png").pairs == [("1_rgb.png", "1.png"), ("2_rgb.png", "2.png")]


def test_one_folder_of_both(folders):
    images, _ = folders(["1.jpg", "1_mask.png", "2.jpg", "2_mask.png"], [])
    with pytest.raises(ValueError, match="holds images and masks: say what masks' names end in"):
        find_pairs(images, images)
    found = find_pairs(images, images, mask_suffix="_mask.png")
    assert found.pairs == [("1.jpg", "1_mask.png"), ("2.jpg", "2_mask.png")]


def test_masks_below_the_images(folders):
    images, _ = folders(["1.png", "masks/1.png"], [])
    assert find_pairs(images, images / "masks").pairs == [("1.png", "1.png")]


@pytest.mark.parametrize(
    ("images", "masks"),
    [(["cat_1.png"], ["cat_2.png"]), (["apple.png"], ["apricot.png"]), (["1.png", "2.png"], ["a.png", "b.png"])],
)
def test_chance_is_no_rule(folders, images, masks):
    with pytest.raises(ValueError, match="No mask is called like an image"):
        find_pairs(*folders(images, masks))


def test_two_files_of_one_name(folders):
    with pytest.raises(ValueError, match=r"1\.jpg and .*1\.png have one name: .* --image-suffix \.png"):
        find_pairs(*folders(["1.jpg", "1.png"], ["1.png"]))


def test_missing_and_empty_folders(folders, tmp_path):
    images, masks = folders(["1.png"], ["notes.txt"])
    with pytest.raises(FileNotFoundError, match=r"The folder of masks, .*, holds no picture \(\.bmp, "):
        find_pairs(images, masks)
    with pytest.raises(FileNotFoundError, match=r"The folder of images, .*nowhere, does not exist"):
        find_pairs(tmp_path / "nowhere", images)


LISTED = [("val/1.png", "val/1_L.png"), ("val/2.png", "val/2_L.png")]


@pytest.mark.parametrize(
    "lines", ["val/2\n", "2.png\n\n", "2", "/SegNet/CamVid/val/2.png /SegNet/CamVid/annot/2_L.png\n", "./val/2.png\r\n"]
)
def test_lists(folders, tmp_path, lines):
    images, masks = folders(["val/1.png", "val/2.png", "val/3.png"], ["val/1_L.png", "val/2_L.png"])
    (tmp_path / "val.txt").write_text(lines)
    found = only_listed(find_pairs(images, masks), tmp_path / "val.txt", images)
    assert found == ([LISTED[1]], [], [])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("4\n", "Line 1 of .*val.txt, '4', names no image"),
        ("val/1\n1.png\n", "names val/1.png twice, in line 1 and 2"),
        ("\n", "names no image"),
        ("same\n", "'same', names several images in .*: train/same.png, val/same.png"),
    ],
)
def test_lists_that_do_not_fit(folders, tmp_path, lines, message):
    names = ["val/1.png", "val/same.png", "train/same.png"]
    images, masks = folders(names, names)
    (tmp_path / "val.txt").write_text(lines)
    with pytest.raises(ValueError, match=message):
        only_listed(find_pairs(images, masks), tmp_path / "val.txt", images)
