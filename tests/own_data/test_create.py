"""What is read before anything is written, and what is written."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.config import load_config
from mmseg_tfovss.datasets.files import read_labels
from mmseg_tfovss.engine.preflight import check_run
from mmseg_tfovss.own_data.create import Request, create
from mmseg_tfovss.own_data.report import ProblemsError, class_rows, notes
from tests.own_data.layouts import SIZE, noise, photo, save

USUAL = {
    "ignored": (),
    "first_label": None,
    "split": None,
    "image_suffix": None,
    "mask_suffix": None,
    "only_pairs": False,
    "methods": ("sclip",),
    "backbones": ("vit-pocket",),
    "workers": 2,
    "command": "tfovss dataset init mine",
}


def watch(items, total):
    return items


@pytest.fixture
def make(tmp_path):
    """Create a dataset of images and the masks that are given."""

    def call(masks, classes, **options):
        for name, mask in masks.items():
            photo(tmp_path / f"images/{Path(name).stem}.png")
            if mask is not None:
                save(mask, tmp_path / "given" / name)
        (tmp_path / "classes.txt").write_text(classes)
        folders = {"images": tmp_path / "images", "masks": tmp_path / "given"}
        settings = {
            **USUAL,
            "folder": tmp_path / "mine",
            **folders,
            "classes": str(tmp_path / "classes.txt"),
            **options,
        }
        return create(Request(**settings), watch)

    return call


def stored(made, folder, name):
    return read_labels(folder / "mine/masks" / name)


def test_masks_in_place_are_used_as_they_are(make, tmp_path):
    truth = noise(3)
    made = make({"1.png": truth}, "cat\ndog\ncow\n")
    assert not made.anew
    assert made.survey.pixels.tolist() == np.bincount(truth.ravel(), minlength=3).tolist()
    config = load_config(tmp_path / "mine/sclip_vit-pocket_mine.py")
    check_run(config)
    assert config.test_dataloader.dataset.metainfo.ignore_index is None
    assert config.model.decode_head.prob_threshold == 0
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {
        "_base_", "dataset.py", "images", "masks", "pairs.txt", "source.json", "sclip_vit-pocket_mine.py",
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_labels_that_begin_at_one(make, tmp_path, dtype):
    truth = noise(4).astype(dtype)
    made = make({"1.png": truth}, "cat\ndog\ncow\n", first_label=1, ignored=("0",))
    assert made.anew
    assert np.array_equal(stored(made, tmp_path, "1.png"), np.where(truth == 0, 255, truth.astype(int) - 1))
    check_run(load_config(tmp_path / "mine/sclip_vit-pocket_mine.py"))


def test_labels_with_gaps_and_several_that_are_ignored(make, tmp_path):
    truth = np.array([7, 8, 255, 11, 3], np.uint8)[noise(5)]
    make({"1.png": truth}, "name,label\ncat,8\ndog,7\nvoid,3\n", ignored=("void", "255", "11"))
    wanted = np.select([truth == 8, truth == 7], [0, 1], 255)
    assert np.array_equal(read_labels(tmp_path / "mine/masks/1.png"), wanted)


def test_a_palette_gives_its_indices_or_its_colours(make, tmp_path):
    """VOC's masks hold class numbers; others are colour masks that were saved with a palette."""
    truth = noise(3)
    mask = Image.fromarray(truth)
    mask.putpalette([0, 0, 0, 9, 9, 9, 200, 0, 0])
    (tmp_path / "given").mkdir()
    mask.save(tmp_path / "given/1.png")
    photo(tmp_path / "images/1.png")
    by_index = make({}, "cat\ndog\ncow\n", folder=tmp_path / "one")
    by_colour = make({}, "name,r,g,b\ncow,200,0,0\ndog,9,9,9\ncat,0,0,0\n", folder=tmp_path / "two")
    assert by_index.survey.pixels.tolist() == by_colour.survey.pixels[::-1].tolist()
    assert np.array_equal(read_labels(tmp_path / "two/masks/1.png"), 2 - truth.astype(int))
    with pytest.raises(ValueError, match="if its numbers are the classes, take a class file without colours"):
        make({}, "name,r,g,b\ncow,1,0,0\ndog,2,9,9\ncat,3,0,0\n", folder=tmp_path / "three")


def test_three_equal_channels_are_labels(make, tmp_path):
    truth = noise(3)
    made = make({"1.png": np.stack([truth] * 3, axis=-1)}, "cat\ndog\ncow\n")
    assert made.anew
    assert np.array_equal(stored(made, tmp_path, "1.png"), truth)


def test_colours_without_a_table_are_refused(make, tmp_path):
    with pytest.raises(ValueError, match=r"1\.png holds colours, but the class file gives none: .* name,r,g,b"):
        make({"1.png": np.random.default_rng(0).integers(0, 9, (*SIZE, 3), dtype=np.uint8)}, "cat\ndog\n")
    assert not (tmp_path / "mine").exists()


def test_an_unknown_colour_is_named(make, tmp_path):
    colours = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.uint8)
    truth = noise(2)
    masks = {"1.png": colours[truth], "2.png": colours[truth + (truth == 1)]}
    with pytest.raises(ProblemsError) as error:
        make(masks, "name,r,g,b\ncat,1,2,3\ndog,4,5,6\n")
    count = int((truth == 1).sum())
    assert str(error.value).splitlines() == [
        f"The colour 7,8,9 is no class: {count} pixels in 1 mask, first in {tmp_path}/given/2.png ({count} pixels).",
        "Add these colours to the class file, or, if their pixels do not count, set --ignore 7,8,9.",
    ]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_all_that_is_wrong_is_said_at_once(make, tmp_path):
    masks = {"1.png": noise(2), "2.png": noise(2, size=(40, 64)), "3.png": noise(2) + 5, "4.png": noise(2)}
    photo(tmp_path / "images/4.png").write_bytes(b"no image")
    (tmp_path / "given").mkdir()
    make_lossy = Image.fromarray(noise(2))
    make_lossy.save(tmp_path / "given/5.jpg")
    photo(tmp_path / "images/5.png")
    for name, mask in masks.items():
        save(mask, tmp_path / "given" / name)
    for number in (1, 2, 3):
        photo(tmp_path / f"images/{number}.png")
    with pytest.raises(ProblemsError) as error:
        make({}, "cat\ndog\n")
    lines = str(error.value).splitlines()
    assert "given/2.png is 40x64 pixels, but its image" in lines[0]
    assert "images/4.png is truncated or damaged" in lines[1]
    assert "given/5.jpg is in the format JPEG" in lines[2]
    assert [line.partition(" is")[0] for line in lines[3:5]] in [
        ["The label 5", "The label 6"],
        ["The label 6", "The label 5"],
    ]
    assert lines[5].startswith(
        "The class file has 2 classes, for the labels 0 .. 1. If pixels with these labels do not"
    )
    assert not (tmp_path / "mine").exists()


def test_a_first_mask_that_is_damaged_hides_nothing(make, tmp_path):
    masks = {"1.png": noise(2), "2.png": noise(2) + 7}
    make(masks, "cat\ndog\n", ignored=("7", "8"))
    (tmp_path / "given/1.png").write_bytes(b"nothing")
    with pytest.raises(ProblemsError) as error:
        make({}, "cat\ndog\n", folder=tmp_path / "again")
    lines = str(error.value).splitlines()
    assert "given/1.png is truncated or damaged" in lines[0]
    assert len(lines) == 4  # labels 7 and 8, and what to set


def test_a_full_disk_leaves_nothing(make, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmseg_tfovss.own_data.create.save_labels", fail)
    with pytest.raises(OSError, match="No space left"):
        make({"1.png": noise(2)}, "cat\ndog\n", first_label=1, ignored=("0",))
    assert {path.name for path in tmp_path.iterdir()} == {"images", "given", "classes.txt"}


def test_images_without_masks(make, tmp_path):
    masks = {"1.png": noise(2), "2.png": None}
    with pytest.raises(ValueError, match=r"1 of 2 images in .*images has no mask: 2\.png\. Leave them out with"):
        make(masks, "cat\ndog\n")
    made = make(masks, "cat\ndog\n", only_pairs=True)
    assert (tmp_path / "mine/pairs.txt").read_text() == "1.png\t1.png\n"
    assert "note: 1 image has no mask and is left out: 2.png." in [*notes(made.survey, made.table, made.pairs)]


def test_labels_seem_to_begin_at_one_only_if_zero_occurs_nowhere(make):
    with pytest.raises(ProblemsError, match="if labels begin at 1, set --first-label 1"):
        make({"1.png": noise(2) + 1}, "cat\ndog\n")
    with pytest.raises(ProblemsError, match="set --ignore 2; if they do, add their classes"):
        make({"1.png": noise(3)}, "cat\ndog\n")


def test_nothing_that_counts(make):
    with pytest.raises(ValueError, match="No pixel would count"):
        make({"1.png": np.full(SIZE, 9, np.uint8)}, "cat\ndog\n", ignored=("9",))


def test_what_a_user_should_know(make, tmp_path):
    save(noise(2), tmp_path / "given/spare.png")
    truth = np.where(noise(2) > 0, 2, 9).astype(np.uint8)
    made = make({"1.png": truth}, "void\ncat\ndog\nother\n", ignored=("9",))
    told = " ".join(notes(made.survey, made.table, made.pairs))
    assert "in no mask: void, cat, other." in told
    assert "1 mask has no image and is not used: spare.png." in told
    assert "note: class 0 (void) is the background" in told
    assert "note: other is a class like any other" in told
    rows = [*class_rows(made.survey, made.table)]
    share = f"{100 * (truth == 2).mean():.2f} %"
    assert rows[2] == ("2", "dog", share, "1")
    assert rows[4] == ("", "ignored (9)", f"{100 * (truth == 9).mean():.2f} %", "")


def test_many_classes_have_16_bits(make, tmp_path):
    truth = (noise(200).astype(np.uint16) + 100) * 2
    rows = "".join(f"class {number},{2 * number}\n" for number in range(300))
    make({"1.png": truth}, f"name,label\n{rows}", ignored=("65535",))
    assert np.array_equal(read_labels(tmp_path / "mine/masks/1.png"), truth // 2)
    config = load_config(tmp_path / "mine/sclip_vit-pocket_mine.py")
    assert config.test_dataloader.dataset.metainfo.ignore_index == 65535
