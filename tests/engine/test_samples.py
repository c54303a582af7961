"""Which images a dataset has: each one once, or the odd file is named."""

import os
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.datasets import BaseSegDataset
from PIL import Image

from mmseg_tfovss.engine.dataset_files import dataset_hash
from mmseg_tfovss.engine.preflight import build_dataset, check_files
from mmseg_tfovss.engine.samples import left_out
from mmseg_tfovss.registry import DATASETS


def write(path, colours=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB" if colours else "L", (4, 3)).save(path, "JPEG" if colours else "PNG")


def pair(root, name, suffix=".jpg"):
    write(root / f"images/{name}{suffix}", colours=True)
    write(root / f"labels/{name}.png")


def settings(root, **changes):
    folders = {"img_path": "images", "seg_map_path": "labels"}
    classes = {"metainfo": {"classes": ("cat", "dog")}}
    common = {"type": "BaseSegDataset", "data_root": str(root), "data_prefix": folders, "test_mode": True}
    return Config({"dataset": "own", "test_dataloader": {"dataset": {**common, **classes, **changes}}})


def checked(root, **changes):
    """Names of the images that a run would count."""
    dataset = build_dataset(settings(root, **changes))
    check_files(dataset, "own")
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    return [os.path.relpath(sample["img_path"], root / "images") for sample in samples]


@pytest.fixture
def root(tmp_path):
    for name in ("a", "b", "sub/c"):
        pair(tmp_path, name)
    return tmp_path


def test_every_image_is_counted_once(root):
    assert checked(root) == ["a.jpg", "b.jpg", "sub/c.jpg"]


@pytest.mark.parametrize(
    "name", ["d.JPG", "d.jpeg", "sub/d.PNG", "d.webp", "d", "d.jpg~", "d.jpg.bak", ".d.jpg", "sub/.hidden/d.Jpg"]
)
def test_an_image_that_the_suffix_leaves_out_is_named(name, root):
    write(root / "images" / name, colours=True)
    with pytest.raises(ValueError, match=rf"end in '\.jpg' .*would leave out .*/{name}: .*in an ann_file"):
        checked(root)
    (root / "list.txt").write_text("a\nb\n")
    assert checked(root, ann_file="list.txt") == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("name", ["notes.txt", "Thumbs.db", "._a.jpg", ".DS_Store", "a.json", ".a.4711.jpg"])
def test_what_is_no_image_may_lie_beside(name, root):
    (root / "images" / name).write_text("BMW, or anything")
    (root / "images" / ".#a.jpg").symlink_to("somebody@somewhere.1")  # Emacs's
    assert checked(root) == ["a.jpg", "b.jpg", "sub/c.jpg"]


@pytest.mark.parametrize("name", ["d.jpg", "sub/d.jpg", "more", ".d.JPG"])
def test_a_link_to_nothing_is_named(name, root):
    (root / "images" / name).symlink_to("gone.jpg")
    with pytest.raises(ValueError, match=rf"leave out .*/{name} \(a link to gone\.jpg, which does not exist\)"):
        checked(root)


def test_names_of_other_bytes_are_images_too(root):
    odd = os.fsdecode(b"caf\xe9 [b]")
    before = dataset_hash(build_dataset(settings(root)))
    pair(root, odd)
    assert checked(root) == ["a.jpg", "b.jpg", f"{odd}.jpg", "sub/c.jpg"]
    assert dataset_hash(build_dataset(settings(root))) != before


def test_links_to_files_elsewhere_are_images(root):
    pair(root / "other", "d")
    (root / "images/d.jpg").symlink_to(root / "other/images/d.jpg")
    write(root / "labels/d.png")
    assert checked(root) == ["a.jpg", "b.jpg", "d.jpg", "sub/c.jpg"]


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_links_to_another_ones_file_are_refused(kind, root):
    pair(root, "d")
    name = "jpg" if kind == "images" else "png"
    (root / f"{kind}/d.{name}").unlink()
    (root / f"{kind}/d.{name}").symlink_to(f"a.{name}")
    what = "image .*is counted more than once" if kind == "images" else "annotation .*belongs to 2 images"
    with pytest.raises(ValueError, match=rf"The {what} \(.*a\.jpg, .*d\.jpg\)"):
        checked(root)


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_hard_links_to_another_ones_file_are_refused(kind, root):
    pair(root, "d")
    name = "jpg" if kind == "images" else "png"
    (root / f"{kind}/d.{name}").unlink()
    os.link(root / f"{kind}/a.{name}", root / f"{kind}/d.{name}")
    what = "image .*is counted more than once" if kind == "images" else "annotation .*belongs to 2 images"
    with pytest.raises(ValueError, match=rf"The {what} \(.*a\.jpg, .*d\.jpg\)"):
        checked(root)


def test_a_dataset_of_hard_links_to_another_one_is_a_dataset(root):
    for file in [*root.rglob("*.jpg"), *root.rglob("*.png")]:
        copy = root / "copy" / file.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, copy)
    assert checked(root / "copy") == ["a.jpg", "b.jpg", "sub/c.jpg"]
    os.link(root / "images/a.jpg", root / "images/d.jpg.link")
    (root / "labels/a.png").unlink()
    os.link(root / "images/a.jpg", root / "labels/a.png")
    (root / "list.txt").write_text("a")
    with pytest.raises(ValueError, match=r"images/a\.jpg is an image and an annotation at once"):
        checked(root, ann_file="list.txt")


@pytest.mark.parametrize("name", ["d.jpg", "sub/d.JPG"])
def test_a_folder_named_like_an_image_is_named(name, root):
    (root / "images" / name).mkdir()
    with pytest.raises(ValueError, match=rf"would leave out .*/{name} \(a folder\): remove or rename them"):
        checked(root)


def test_annotations_without_an_image_are_told(root, caplog):
    for name in ("d.png", "e.png", "sub/f.png", "g.png", ".h.png", "notes.txt", "i.tif"):
        write(root / "labels" / name)
    assert checked(root) == ["a.jpg", "b.jpg", "sub/c.jpg"]
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("warning: 4 of 7 annotations have no image, so that they do not count: ")
    assert message.endswith("/labels/d.png, {0}/e.png, {0}/g.png and 1 more.".format(root / "labels"))
    caplog.clear()
    (root / "list.txt").write_text("a")
    checked(root, ann_file="list.txt")
    checked(root, indices=[0])
    assert not caplog.records


def test_a_wrong_ending_of_annotations_is_named(root):
    message = (
        r"3 of 3 samples lack their annotation: .*: none of the 3 files in .*/labels \(a\.png, b\.png, c\.png\) ends in"
        r" '\.gif'; set test_dataloader\.dataset\.seg_map_suffix"
    )
    with pytest.raises(FileNotFoundError, match=message):
        checked(root, seg_map_suffix=".gif")


@pytest.mark.parametrize("target", [".", "..", "sub"])
def test_folders_that_are_there_twice_are_refused(target, root):
    """Two links to the folder they lie in would be followed for ever."""
    for name in ("loop", "again"):
        (root / "images" / name).symlink_to(target)
    with pytest.raises(ValueError, match=r"are one folder, so its images would be counted twice: remove the link"):
        checked(root)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a\n\nb\n", r"Line 2 of .*list\.txt is blank"),
        ("a\nb\n \n", r"Line 3 of .*list\.txt is blank"),
        ("a\nb\na\n", r"list\.txt lists 'a' twice, in line 1 and 3"),
        ("a\nsub/../a\n", r"list\.txt lists 'sub/../a' twice, in line 1 and 2"),
        ("a.jpg\nb.jpg\n", r"Line 1 of .*list\.txt, 'a\.jpg', has the ending '\.jpg', which img_suffix adds"),
        ("\ufeffa\n", r"list\.txt begins with a byte-order mark"),
    ],
)
def test_lines_that_name_no_image_are_refused(lines, message, root):
    (root / "list.txt").write_text(lines, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        checked(root, ann_file="list.txt")


def test_lists_of_other_systems_are_read(root):
    (root / "list.txt").write_bytes(b"b\r\nsub/c")
    assert checked(root, ann_file="list.txt") == ["b.jpg", "sub/c.jpg"]


def test_a_list_that_is_none_is_named(root):
    (root / "list.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(ValueError, match=r"list\.txt of the dataset own is no UTF-8 text"):
        checked(root, ann_file="list.txt")
    (root / "list.txt").write_text("")
    with pytest.raises(FileNotFoundError, match=r"No image found for BaseSegDataset .*list\.txt names none"):
        checked(root, ann_file="list.txt")
    with pytest.raises(ValueError, match=r"ann_file is the folder .*/labels: name a file"):
        checked(root, ann_file="labels")


def test_an_empty_folder_and_a_wrong_suffix_are_named(root):
    with pytest.raises(FileNotFoundError, match=r"none of its 3 files \(a\.jpg, b\.jpg, c\.jpg\) ends in '\.png'; set"):
        checked(root, img_suffix=".png")
    (root / "empty").mkdir()
    folders = {"img_path": "empty", "seg_map_path": "labels"}
    with pytest.raises(
        FileNotFoundError, match=r"No image found for BaseSegDataset in .*/empty: put the dataset there"
    ):
        checked(root, data_prefix=folders)


def test_images_and_annotations_in_one_folder(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"images/{name}.jpg", colours=True)
        write(tmp_path / f"images/{name}_labels.png")
    folders = {"img_path": "images", "seg_map_path": "images"}
    assert checked(tmp_path, data_prefix=folders, seg_map_suffix="_labels.png") == ["a.jpg", "b.jpg"]
    with pytest.raises(ValueError, match=r"a\.jpg is an image and an annotation at once: set img_suffix"):
        checked(tmp_path, data_prefix=folders, seg_map_suffix=".jpg")
    write(tmp_path / "images/c.png")
    with pytest.raises(ValueError, match=r"leave out .*/images/c\.png"):
        checked(tmp_path, data_prefix=folders, seg_map_suffix="_labels.png")


def test_a_folder_of_annotations_among_the_images_is_not_searched(tmp_path):
    write(tmp_path / "a.jpg", colours=True)
    write(tmp_path / "labels/a.png")
    folders = {"img_path": "", "seg_map_path": "labels"}
    assert checked(tmp_path, data_prefix=folders) == ["../a.jpg"]


@pytest.mark.parametrize(("indices", "names"), [(2, "ab"), (-1, "c"), ([2, 0], "ca"), ((1,), "b"), (3, "abc")])
def test_indices_act(indices, names, root):
    assert [Path(name).stem for name in checked(root, indices=indices)] == list(names)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        (4, "indices=4, but the dataset has only 3: leave it out"),
        (-9, "indices=-9, but the dataset has only 3: leave it out"),
        ([0, 3], "names an image that own does not have"),
        ([1, 1], r"b\.jpg is counted more than once"),
    ],
)
def test_indices_that_do_not_exist_are_refused(indices, message, root):
    with pytest.raises(ValueError, match=message):
        checked(root, indices=indices)


def test_a_dataset_that_lists_in_its_own_way_is_not_second_guessed(root, monkeypatch):
    class Some(BaseSegDataset):
        def load_data_list(self):
            return [sample for sample in super().load_data_list() if "sub" not in sample["img_path"]]

    class Silent(BaseSegDataset):
        def load_data_list(self):
            return [{"img_path": sample["img_path"]} for sample in super().load_data_list()]

    write(root / "images/d.PNG")
    monkeypatch.setitem(DATASETS.module_dict, "Some", Some)
    monkeypatch.setitem(DATASETS.module_dict, "Silent", Silent)
    assert checked(root, type="Some") == ["a.jpg", "b.jpg"]
    with pytest.raises(
        ValueError, match="Silent does not say where its annotations are: its samples need 'seg_map_path'"
    ):
        checked(root, type="Silent")


ODD_SUFFIXES = (".JPG", ".jpeg", ".png", "", ".jpg.old", ".txt")


def draw_file(draw, path, images, oddness):
    """A file or link; whether somebody who looks into the folder would call it an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".txt":
        path.write_text("notes")
        return False
    odd = draw.random() / oddness
    if odd < 0.2:
        path.symlink_to("gone")
    elif odd < 0.4 and images:
        path.symlink_to(path.parents[path.parts[::-1].index("images") - 1] / sorted(images)[0])
    else:
        write(path, colours=True)
    return True


def draw_tree(draw, root):
    """A folder of images, some of which are odd; what is in it."""
    images, oddness = set(), float(draw.choice([0.01, 0.2]))
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for _ in range(int(draw.integers(0, 7))):
        name = (
            f"{'sub/' * int(draw.integers(0, 2))}{'.' * int(draw.random() < oddness / 2)}{draw.choice(list('abcdefg'))}"
        )
        file = f"{name}{draw.choice(ODD_SUFFIXES) if draw.random() < oddness else '.jpg'}"
        path = root / "images" / file
        if not (path.exists() or path.is_symlink()) and draw_file(draw, path, images, oddness):
            images.add(file)
        if draw.random() < 1 - oddness / 2:
            write(root / f"labels/{name}.png")
    if draw.random() < oddness:
        (root / "images/loop").symlink_to(str(draw.choice([".", "..", "sub"])))
    return images


def check_trees(seed, count, folder):
    """How many trees were evaluated, and how many refused."""
    draw, accepted, refused = np.random.default_rng(seed), 0, 0
    for number in range(count):
        root = folder / str(number)
        images = draw_tree(draw, root)
        try:
            found = checked(root)
        except (ValueError, FileNotFoundError) as error:
            message = str(error)
        else:
            assert sorted(found) == sorted(images), (seed, number)
            accepted += 1
            continue
        assert str(root) in message, (seed, number)
        assert "\n" not in message
        refused += 1
    return accepted, refused


def test_of_any_tree_each_image_is_counted_once_or_the_odd_file_is_named(tmp_path):
    accepted, refused = check_trees(0, 150, tmp_path)
    assert min(accepted, refused) > 30


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_many_trees(seed, tmp_path):
    assert min(check_trees(seed, 500, tmp_path)) > 50


def test_reading_what_is_left_out_does_not_wait_for_pipes(root):
    os.mkfifo(root / "images/pipe")
    assert left_out(root / "images", ".jpg", root / "labels", ".png") == []
