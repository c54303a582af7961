"""Preparing: from tiny official archives to what the configs read, and on after any interruption."""

import errno
import multiprocessing
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.cli import sentence
from mmseg_tfovss.datasets.facts import FACTS, PREPARED
from mmseg_tfovss.engine.preflight import check_files
from mmseg_tfovss.prepare import sources
from mmseg_tfovss.prepare.build import Prepared, prepare
from mmseg_tfovss.prepare.recipes import RECIPES
from tests.prepare import official

pytestmark = pytest.mark.usefixtures("one_process")

BOTH = pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
KEYS = pytest.mark.parametrize("key", PREPARED)

VOC = ("VOCdevkit/VOC2012", "JPEGImages/{}.jpg", "SegmentationClass/{}.png", "ImageSets/Segmentation/val.txt")
CONTEXT = (
    "VOCdevkit/VOC2010",
    "JPEGImages/{}.jpg",
    "SegmentationClassContext/{}.png",
    "ImageSets/SegmentationContext/val.txt",
)
COCO = ("coco_stuff164k", "images/val2017/{}.jpg", "annotations/val2017/{}_labelTrainIds.png", None)
ADE847 = ("images_detectron2/validation/{}.jpg", "annotations_detectron2/validation/{}.tif", "validation.txt")
FILES = {  # folder, images, annotations, list
    "voc21": VOC,
    "voc20": VOC,
    "context60": CONTEXT,
    "context59": CONTEXT,
    "pc459": (*CONTEXT[:2], "annotations_detectron2/pc459_val/{}.tif", CONTEXT[3]),
    "coco_object": (*COCO[:2], "annotations/val2017/{}_instanceTrainIds.png", None),
    "coco_stuff164k": COCO,
    "coco27": (*COCO[:2], "annotations/val2017/{}_label27TrainIds.png", "coco27_val2017.txt"),
    "cityscapes": (
        "cityscapes",
        "leftImg8bit/val/{}_leftImg8bit.png",
        "gtFine/val/{}_gtFine_labelTrainIds.png",
        None,
    ),
    "cityscapes27": (
        "cityscapes",
        "leftImg8bit/val/{}_leftImg8bit.png",
        "gtFine/val/{}_gtFine_label27TrainIds.png",
        None,
    ),
    "ade20k": ("ade/ADEChallengeData2016", "images/validation/{}.jpg", "annotations/validation/{}.png", None),
    "ade847": ("ADE20K_2021_17_01", *ADE847),
}
STEMS = {
    "VOC2012": official.STEMS_2012,
    "VOC2010": official.STEMS_2010,
    "coco_stuff164k": official.COCO_IDS,
    "cityscapes": official.CITIES,
    "ADEChallengeData2016": official.ADE_STEMS,
    "ADE20K_2021_17_01": official.ADE_STEMS,
}
# What becomes of the raw ids in the archives
LABELS = {
    "voc21": [0, 1, 20, 255],
    "voc20": [0, 1, 20, 255],
    "coco_object": [1, 12, 80, 0, 0, 0],
    "coco_stuff164k": [0, 11, 79, 80, 170, 255],
    "coco27": [9, 8, 4, 17, 24, 255],
    "cityscapes": [255, 0, 18, 255, 255],
    "cityscapes27": [255, 0, 26, 11, 22],
    "ade20k": [0, 1, 150],
    "pc459": [65535, 0, 255, 256, 458],
    "ade847": [65535, 0, 1, 65535, 255],
}
REDUCED = ("voc20", "context59", "ade20k")  # 0 is ignored, and the others move down


@pytest.fixture
def archives(tmp_path):
    return official.make_archives(tmp_path / "archives")


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def small(monkeypatch):
    """Benchmarks that are complete with two images."""
    for key in PREPARED:
        monkeypatch.setitem(FACTS, key, replace(FACTS[key], images=2))


def stems_of(key):
    return STEMS[Path(FILES[key][0]).name]


def paths_of(key, data):
    """Images and annotations, in the order of the stems."""
    folder, images, labels, _ = FILES[key]
    return [[data / folder / pattern.format(stem) for stem in stems_of(key)] for pattern in (images, labels)]


def expected_labels(key, number):
    if not key.startswith("context"):
        return np.resize(official.turned(LABELS[key], number), official.SIZE)
    labels = np.zeros(official.SIZE)
    labels[:, number : number + 4] = 1  # aeroplane
    labels[0] = 53  # tree
    return labels


def tree(data, hidden=False):
    """All files and their contents."""
    files = [path for path in data.rglob("*") if path.is_file() and (hidden or path.name[0] != ".")]
    return {path.relative_to(data).as_posix(): path.read_bytes() for path in files}


def versions(data):
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in data.rglob("*") if path.is_file()}


def scratch_files(data):
    return [path for path in data.rglob(".*") if path.is_file()]


# What is made


@BOTH
@KEYS
def test_files_that_are_made(key, workers, archives, data, capfd):
    folder, *_, listing = FILES[key]
    done = prepare(key, data, archives, workers=workers)
    images, labels = paths_of(key, data)
    count = 4 + key.startswith("voc")  # its list is a file of the archive
    assert done == Prepared(data / folder, images=2, expected=FACTS[key].images, written=count)
    lists = [data / folder / listing] if listing else []
    assert {path for path in data.rglob("*") if path.is_file()} == {*images, *labels, *lists}
    assert [path.read_text() for path in lists] == ["".join(f"{stem}\n" for stem in stems_of(key))] * len(lists)
    for number, path in enumerate(labels):
        with Image.open(path) as image:
            assert np.array_equal(np.array(image), expected_labels(key, number))
    assert capfd.readouterr().out == ""


def test_photographs_are_taken_as_they_are_and_under_their_names(archives, data):
    seeds = {"voc21": (1, 2), "context60": (1, 2), "coco_object": (0, 1), "cityscapes": (0, 1), "ade20k": (0, 1)}
    for key, numbers in seeds.items():
        prepare(key, data, archives)
        kind = "PNG" if key == "cityscapes" else "JPEG"
        expected = [official.image_file(kind, seed=number) for number in numbers]
        assert [path.read_bytes() for path in paths_of(key, data)[0]] == expected


def test_masks_of_voc_are_taken_as_they_are(archives, data):
    prepare("voc21", data, archives)
    members = official.voc2012_members()
    for path in paths_of("voc21", data)[1]:
        assert path.read_bytes() == members[f"VOCdevkit/VOC2012/SegmentationClass/{path.name}"]


@KEYS
def test_config_reads_what_is_made(key, archives, data):
    prepare(key, data, archives)
    dataset = official.config_dataset(key, data / FILES[key][0])
    check_files(dataset, key)
    assert len(dataset) == 2
    ignored = FACTS[key].ignored
    for number, sample in enumerate(dataset):
        found = sample["data_samples"].gt_sem_seg.data[0].numpy()
        expected = expected_labels(key, number)
        if key in REDUCED:
            expected = np.where((expected == 0) | (expected == 255), 255, expected - 1)
        assert np.array_equal(found, expected)
        assert set(np.unique(found).tolist()) <= {*range(FACTS[key].classes), ignored}
        assert Path(sample["data_samples"].img_path) == paths_of(key, data)[0][number]


def test_run_without_a_file_names_the_command_that_makes_it(archives, data):
    prepare("ade20k", data, archives)
    paths_of("ade20k", data)[1][0].unlink()
    dataset = official.config_dataset("ade20k", data / FILES["ade20k"][0])
    with pytest.raises(FileNotFoundError, match=r"1 of 2 samples .*: prepare it with tfovss prepare ade20k"):
        check_files(dataset, "ade20k")


# Again


@KEYS
def test_second_run_makes_nothing(key, archives, data):
    prepare(key, data, archives)
    before = tree(data)
    labels = [path.stat() for path in data.rglob("*") if path.suffix != ".txt"]
    assert prepare(key, data, archives, workers=2).written == 0
    assert tree(data) == before
    assert [path.stat() for path in data.rglob("*") if path.suffix != ".txt"] == labels


@KEYS
def test_complete_benchmark_needs_no_archive_and_is_not_touched(key, archives, data, small, tmp_path):
    prepare(key, data, archives)
    before = versions(data)
    assert prepare(key, data, tmp_path / "none") == Prepared(data / FILES[key][0], 2, 2, 0)
    assert versions(data) == before


@KEYS
def test_half_done_tree_is_completed(key, archives, data, small):
    prepare(key, data, archives)
    whole, before = tree(data), versions(data)
    images, labels = paths_of(key, data)
    images[1].unlink()
    labels[0].unlink()
    assert prepare(key, data, archives) == Prepared(data / FILES[key][0], 2, 2, 2)
    assert tree(data) == whole
    after = versions(data)
    kept = {path for path in before if path.suffix != ".txt"} - {images[1], labels[0]}
    assert {path: before[path] for path in kept} == {path: after[path] for path in kept}


@pytest.mark.parametrize("key", ["voc21", "context60", "pc459", "ade847"])
def test_lost_list_is_made_again(key, archives, data, small):
    prepare(key, data, archives)
    whole = tree(data)
    (data / FILES[key][0] / FILES[key][3]).unlink()
    prepare(key, data, archives)
    assert tree(data) == whole


def test_list_that_is_there_is_kept(archives, data):
    """One image of VOC is enough for who wants no more."""
    listing = data / VOC[0] / VOC[3]
    listing.parent.mkdir(parents=True)
    listing.write_text("2007_000042\n")
    assert prepare("voc21", data, archives).images == 1
    assert listing.read_text() == "2007_000042\n"
    assert [path.name for path in data.rglob("*.jpg")] == ["2007_000042.jpg"]


# Archives


@KEYS
def test_all_archives_are_looked_for_before_anything_is_made(key, archives, data):
    missing = RECIPES[key].archives[-1]
    (archives / missing.name).unlink()
    remedy = "add --download to fetch it, or get it from http" if missing.url else "its download needs an account"
    with pytest.raises(FileNotFoundError, match=rf"{re.escape(str(archives / missing.name))} is missing: {remedy}"):
        prepare(key, data, archives)
    assert not data.exists()


def test_missing_archives_are_fetched_if_asked_for(archives, data, monkeypatch):
    asked = []

    def fetch(archive, folder):
        asked.append((archive.name, folder))
        return archives / archive.name

    monkeypatch.setattr(sources, "download", fetch)
    folder = data / "archives"
    assert prepare("coco_stuff164k", data, folder, fetch=True).images == 2
    assert asked == [("val2017.zip", folder), ("stuffthingmaps_trainval2017.zip", folder)]
    asked.clear()
    prepare("coco_object", data, archives)
    assert not asked


@pytest.mark.parametrize("name", ["ADEChallengeData2016.zip", "VOCtrainval_03-May-2010.tar", "trainval.tar.gz"])
@pytest.mark.parametrize("damage", ["truncated", "other", "empty"])
def test_damaged_archive_is_named(name, damage, archives, data):
    path = archives / name
    content = path.read_bytes()
    path.write_bytes({"truncated": content[: len(content) // 4], "other": b"<html>404</html>", "empty": b""}[damage])
    key = {"A": "ade20k", "V": "context60", "t": "pc459"}[name[0]]
    message = "is damaged" if damage == "truncated" else "is not a tar, tar.gz or zip archive"
    with pytest.raises(ValueError, match=rf"{name} {message}.*: delete it and download it again\.$"):
        prepare(key, data, archives)
    assert not list(data.rglob("*.jpg"))
    assert not scratch_files(data)


# Interruptions

KILLED = pytest.mark.parametrize(
    ("key", "victim"),
    [
        ("ade20k", "ADE_val_00000002.jpg"),
        ("ade20k", "ADE_val_00000001.png"),
        ("pc459", "2008_000003.tif"),
    ],
)


def half_a_file(victim, end):
    """In place of Path.write_bytes: begins with the victim's scratch file, and ends as it is told."""
    write = Path.write_bytes
    stem, suffix = os.path.splitext(victim)  # noqa: PTH122

    def write_half(path, content):
        if not re.fullmatch(rf"\.{re.escape(stem)}\.\d+{suffix}", path.name):
            return write(path, content)
        write(path, content[: len(content) // 2])
        return end(path)

    return write_half


def prepare_until_killed(key, data, archives, workers, victim):
    os.setsid()
    Path.write_bytes = half_a_file(victim, lambda path: os.killpg(0, signal.SIGKILL))
    prepare(key, data, archives, workers=workers)


@BOTH
@KILLED
def test_killed_run_leaves_whole_files_and_the_next_one_goes_on(key, victim, workers, archives, data):
    prepare(key, data.with_name("whole"), archives)
    whole = tree(data.with_name("whole"))
    arguments = (key, data, archives, workers, victim)
    process = multiprocessing.get_context("fork").Process(target=prepare_until_killed, args=arguments)
    process.start()
    process.join(20)
    assert process.exitcode == -signal.SIGKILL
    begun = tree(data)
    assert begun.items() < whole.items()
    assert not [name for name in begun if name.endswith(f"/{victim}")]
    (scratch,) = scratch_files(data)
    assert scratch.read_bytes() != b""
    assert prepare(key, data, archives).written > 0
    assert tree(data) == whole
    assert scratch_files(data) == [scratch]  # for an hour it might be another run's
    dataset = official.config_dataset(key, data / FILES[key][0])
    check_files(dataset, key)
    assert len(dataset) == 2
    os.utime(scratch, (0, 0))
    prepare(key, data, archives)
    assert tree(data, hidden=True) == whole


@KILLED
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_full_disk_and_forbidden_folder_leave_nothing_half_written(key, victim, number, archives, data, monkeypatch):
    def refuse(path):
        raise OSError(number, os.strerror(number))

    prepare(key, data.with_name("whole"), archives)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", half_a_file(victim, refuse))
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            prepare(key, data, archives)
    (path,) = (path for paths in paths_of(key, data) for path in paths if path.name == victim)
    assert sentence(caught.value) == f"{path}: {os.strerror(number)}."
    assert not scratch_files(data)
    assert tree(data).items() < tree(data.with_name("whole")).items()
    prepare(key, data, archives)
    assert tree(data) == tree(data.with_name("whole"))


@pytest.mark.parametrize("key", ["context60", "pc459", "ade847"])
def test_full_disk_leaves_no_half_list(key, archives, data, monkeypatch):
    def refuse(path, content, **kwargs):
        with path.open("w") as file:
            file.write(content[:3])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", refuse)
        with pytest.raises(OSError, match="No space left on device") as caught:
            prepare(key, data, archives)
    assert sentence(caught.value) == f"{data / FILES[key][0] / FILES[key][3]}: No space left on device."
    assert not list(data.rglob("*.txt"))
    assert prepare(key, data, archives).images == 2


def test_files_that_cannot_be_converted_do_not_keep_the_others_from_being_made(archives, data, small):
    """A map that kills scipy's reader comes first, and the photographs after it."""

    def change(members):
        members["trainval/2008_000002.mat"] = official.crashing_label_map()

    official.alter(archives / "trainval.tar.gz", change)
    with pytest.raises(
        ValueError, match=r"^trainval\.tar\.gz: trainval/2008_000002\.mat: (it crashes|the MATLAB file)"
    ):
        prepare("pc459", data, archives, workers=2)
    assert [path.is_file() for paths in paths_of("pc459", data) for path in paths] == [True, True, False, True]
    official.make_archives(archives)
    assert prepare("pc459", data, archives).written == 1


@pytest.mark.parametrize("place", ["", "VOCdevkit", "VOCdevkit/VOC2012/JPEGImages"])
def test_file_in_place_of_a_folder_is_named(place, archives, data):
    (data / place).parent.mkdir(parents=True, exist_ok=True)
    (data / place).write_text("mine")
    with pytest.raises(OSError, match=r"Not a directory|File exists") as caught:
        prepare("voc21", data, archives)
    assert re.fullmatch(rf"{data}/VOCdevkit/VOC2012/.*: (Not a directory|File exists)\.", sentence(caught.value))
    assert (data / place).read_text() == "mine"


def test_folder_in_place_of_a_file_is_named(archives, data):
    path = paths_of("ade20k", data)[1][0]
    path.mkdir(parents=True)
    with pytest.raises(OSError, match="Is a directory") as caught:
        prepare("ade20k", data, archives)
    assert sentence(caught.value) == f"{path}: Is a directory."
    assert not scratch_files(data)


# Benchmarks that share folders


@pytest.mark.parametrize(("first", "second"), [("voc21", "voc20"), ("context60", "context59")])
def test_same_files_serve_both(first, second, archives, data):
    prepare(first, data, archives)
    before = tree(data)
    assert prepare(second, data, archives).written == 0
    assert tree(data) == before


@pytest.mark.parametrize("keys", [("context60", "pc459"), ("pc459", "context60")])
def test_context_and_its_459_classes_share_images_and_list(keys, archives, data):
    assert [prepare(key, data, archives).written for key in keys] == [4, 2]
    assert (data / CONTEXT[0] / CONTEXT[3]).read_text() == "2008_000002\n2008_000003\n"
    for key in keys:
        dataset = official.config_dataset(key, data / CONTEXT[0])
        check_files(dataset, key)
        assert len(dataset) == 2


def test_list_of_context_stays_when_the_459_classes_are_made(archives, data, small):
    prepare("context60", data, archives)
    listing = data / CONTEXT[0] / CONTEXT[3]
    before = listing.stat()
    official.alter(archives / "trainval.tar.gz", lambda members: members.update({"trainval/2008_000007.mat": b""}))
    prepare("pc459", data, archives)  # 2008_000007 is in the bundled list, and not in this one
    assert listing.stat() == before


def test_coco_object_and_coco_stuff_share_images(archives, data):
    assert prepare("coco_object", data, archives).written == 4
    assert prepare("coco_stuff164k", data, archives).written == 2
    for key in ("coco_object", "coco_stuff164k"):
        for number, path in enumerate(paths_of(key, data)[1]):
            with Image.open(path) as image:
                assert np.array_equal(np.array(image), expected_labels(key, number))
