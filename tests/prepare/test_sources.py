"""Sources: official data that lie unpacked are used where they are, however people keep them."""

import os
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from mmseg_tfovss.datasets.facts import FACTS, PREPARED
from mmseg_tfovss.prepare import sources
from mmseg_tfovss.prepare.build import Prepared, prepare
from mmseg_tfovss.prepare.layout import LAYOUTS
from mmseg_tfovss.prepare.recipes import CITYSCAPES_LABELS, COCO_IMAGES, COCO_MAPS, RECIPES
from mmseg_tfovss.prepare.sources import find_unpacked
from tests.prepare import official

pytestmark = pytest.mark.usefixtures("one_process")

KEYS = pytest.mark.parametrize("key", PREPARED)
LABELS = "gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_labelIds.png"


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return official.make_archives(tmp_path_factory.mktemp("packed"))


@pytest.fixture
def small(monkeypatch):
    """Benchmarks that are complete with two images."""
    for key in PREPARED:
        monkeypatch.setitem(FACTS, key, replace(FACTS[key], images=2))


def unpack(packed, folder, names, *, own=False):
    """Unpack archives as their users do, into one folder or each into one of its own name."""
    for name in names:
        file, place = packed / name, folder / name.partition(".")[0] if own else folder
        place.mkdir(parents=True, exist_ok=True)
        if zipfile.is_zipfile(file):
            shutil.unpack_archive(file, place, "zip")
        elif tarfile.is_tarfile(file):
            shutil.unpack_archive(file, place, "gztar" if name.endswith(".gz") else "tar", filter="data")
        else:
            shutil.copy(file, place)


def archives_of(key):
    return [archive.name for archive in RECIPES[key].archives]


def tree(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


PLACES = {
    "one folder": lambda packed, folder, names: unpack(packed, folder, names),
    "one level deeper": lambda packed, folder, names: unpack(packed, folder / "mine", names),
    "own names": lambda packed, folder, names: unpack(packed, folder, names, own=True),
    "own names one level deeper": lambda packed, folder, names: unpack(packed, folder / "mine", names, own=True),
}


@pytest.mark.parametrize("place", PLACES)
@KEYS
def test_unpacked_archives_give_what_packed_ones_give(key, place, packed, tmp_path, caplog):
    PLACES[place](packed, tmp_path / "unpacked", archives_of(key))
    before = tree(tmp_path / "unpacked")
    prepare(key, tmp_path / "expected", packed)
    done = prepare(key, tmp_path / "data", tmp_path / "unpacked")
    assert done.images == 2
    assert tree(tmp_path / "data") == tree(tmp_path / "expected")
    assert tree(tmp_path / "unpacked") == before
    assert "is read in place of" in caplog.text
    assert prepare(key, tmp_path / "data", tmp_path / "unpacked").written == 0


@pytest.mark.parametrize(
    ("key", "top"),
    [
        ("voc21", "VOCdevkit"),
        ("voc21", "VOCdevkit/VOC2012"),
        ("ade20k", "ADEChallengeData2016"),
        ("ade847", "ADE20K_2021_17_01"),
        ("ade847", "ADE20K_2021_17_01/images/ADE/validation"),
    ],
)
def test_folder_that_was_unpacked_may_be_named_itself(key, top, packed, tmp_path):
    unpack(packed, tmp_path / "unpacked", archives_of(key))
    assert prepare(key, tmp_path / "data", tmp_path / "unpacked" / top).images == 2


def test_relative_folder_with_links_to_other_disks(packed, tmp_path, monkeypatch):
    unpack(packed, tmp_path / "disk", archives_of("cityscapes"))
    (tmp_path / "unpacked").mkdir()
    for name in ("leftImg8bit", "gtFine"):
        (tmp_path / "unpacked" / name).symlink_to(tmp_path / "disk" / name)
    (tmp_path / "unpacked/leftImg8bit/val/round").symlink_to(tmp_path / "unpacked")
    for folder in ("unpacked", "unpacked/leftImg8bit/val"):
        (tmp_path / folder / "itself").symlink_to("itself")
    monkeypatch.chdir(tmp_path)
    assert prepare("cityscapes", Path("data"), Path("unpacked")).images == 2


def test_photographs_are_linked_and_annotations_are_made(packed, tmp_path):
    unpack(packed, tmp_path / "unpacked", archives_of("cityscapes"))
    prepare("cityscapes", tmp_path / "data", tmp_path / "unpacked")
    layout = LAYOUTS["cityscapes"]
    for stem in official.CITIES:
        image = layout.image(tmp_path / "data", stem)
        assert image.readlink() == tmp_path / "unpacked/leftImg8bit/val" / f"{stem}_leftImg8bit.png"
        assert not layout.label(tmp_path / "data", stem).is_symlink()


def test_list_of_voc_is_a_copy_which_may_be_shortened(packed, tmp_path):
    unpack(packed, tmp_path / "unpacked", archives_of("voc21"))
    prepare("voc21", tmp_path / "data", tmp_path / "unpacked")
    assert not (tmp_path / "data/VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt").is_symlink()


@KEYS
def test_data_unpacked_where_the_benchmark_is_made(key, packed, tmp_path):
    """Most people keep Cityscapes in data/cityscapes already; its labels are made beside the official ones."""
    folder = tmp_path / "data" / LAYOUTS[key].folder
    unpack(packed, tmp_path / "unpacked", archives_of(key))
    top = next((tmp_path / "unpacked").rglob(folder.name), tmp_path / "unpacked")
    shutil.copytree(top, folder)
    if key.startswith("context"):  # its annotations are a file, which belongs to the archives
        official.make_archives(tmp_path / "data/archives")
        (tmp_path / "data/archives/VOCtrainval_03-May-2010.tar").unlink()
    elif key == "pc459":
        unpack(packed, folder, ["trainval.tar.gz"])
    before = tree(folder)
    assert prepare(key, tmp_path / "data", tmp_path / "data/archives").images == 2
    assert before.items() <= tree(folder).items()


def test_incomplete_folder_is_named_with_what_is_missing(packed, tmp_path):
    def without(key, ending):
        unpacked = tmp_path / key / "unpacked"
        unpack(packed, unpacked, archives_of(key))
        for path in unpacked.rglob(f"*{ending}"):
            path.unlink()
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            prepare(key, tmp_path / key / "data", unpacked)
        return str(caught.value).replace(f"{unpacked}/", "")

    incomplete = "the folder is incomplete; add what is missing, or give the official archive (--archives, --download)."
    for key, ending, start in [
        ("cityscapes", "294_leftImg8bit.png", "leftImg8bit/val has no images for frankfurt_000000_000294_leftImg8bit"),
        (
            "cityscapes27",
            "294_gtFine_labelIds.png",
            "gtFine/val has no annotations for frankfurt_000000_000294_gtFine_",
        ),
        ("coco_object", "139.jpg", "val2017 has no images for 000000000139.jpg"),
        ("coco27", "139.png", "val2017 has no annotations for 000000000139_label27TrainIds.png"),
        ("voc21", "42.jpg", "VOCdevkit/VOC2012 has no images for 2007_000042.jpg"),
        ("ade20k", "validation/ADE_val_00000001.jpg", "ADEChallengeData2016 has no images for ADE_val_00000001.jpg"),
        ("ade847", "01_seg.png", "ADE20K_2021_17_01/images/ADE/validation has no annotations for ADE_val_00000001.tif"),
    ]:
        message = without(key, ending)
        assert message.startswith(start)
        assert message.endswith(incomplete)
    message = without("coco_stuff164k", ".png")
    assert message.startswith("stuffthingmaps_trainval2017.zip is missing: add --download")
    assert message.endswith("val2017 is there, but has no files like \\d+\\.png.")
    message = without("cityscapes", "_gtFine_*")
    assert ", packed or unpacked (as gtFine/val), into" in message
    assert "; gtFine/val is there, but has no files like " in message


def test_download_is_preferred_to_what_an_interrupted_run_left(packed, tmp_path, monkeypatch):
    unpack(packed, tmp_path / "data", archives_of("voc21"))
    next((tmp_path / "data").rglob("SegmentationClass/2007_000042.png")).unlink()
    monkeypatch.setattr("mmseg_tfovss.prepare.sources.download", lambda archive, folder: packed / archive.name)
    assert prepare("voc21", tmp_path / "data", tmp_path / "none", fetch=True).written == 1


def test_maps_and_photographs_of_coco_are_told_apart(packed, tmp_path):
    for folder, name in (("a", COCO_MAPS.name), ("b", COCO_IMAGES.name)):
        unpack(packed, tmp_path / folder, [name])
    assert find_unpacked(COCO_IMAGES, tmp_path) == tmp_path / "b/val2017"
    assert find_unpacked(COCO_MAPS, tmp_path) == tmp_path / "a/val2017"


def test_nearest_folder_is_taken(packed, tmp_path):
    for folder in ("z", "a/b", "c/d"):
        unpack(packed, tmp_path / folder, [CITYSCAPES_LABELS.name])
    assert find_unpacked(CITYSCAPES_LABELS, tmp_path) == tmp_path / "z/gtFine/val"
    shutil.rmtree(tmp_path / "z")
    assert find_unpacked(CITYSCAPES_LABELS, tmp_path) == tmp_path / "a/b/gtFine/val"


def test_pipes_and_broken_links_in_a_folder_are_no_files(packed, tmp_path):
    unpack(packed, tmp_path / "unpacked", archives_of("cityscapes"))
    file = tmp_path / "unpacked" / LABELS
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ValueError, match="has no annotations for frankfurt_000000_000294"):
        prepare("cityscapes", tmp_path / "data", tmp_path / "unpacked")
    file.unlink()
    file.symlink_to("nowhere")
    with pytest.raises(ValueError, match="has no annotations for frankfurt_000000_000294"):
        prepare("cityscapes", tmp_path / "data", tmp_path / "unpacked")


def test_folders_without_end_are_not_searched_to_the_end(tmp_path, monkeypatch):
    for number in range(5):
        (tmp_path / f"round{number}").symlink_to(tmp_path)
    looked = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: looked.append(folder) or scan(folder))
    monkeypatch.setattr(sources, "_MOST_FOLDERS", 1000)
    assert find_unpacked(CITYSCAPES_LABELS, tmp_path) is None
    assert len(looked) == 999


@pytest.mark.parametrize("top", ["", "coco_stuff164k"])
def test_benchmark_that_is_prepared_elsewhere_is_not_made_again(top, packed, tmp_path, small):
    prepare("coco_object", tmp_path / "elsewhere", packed)
    done = prepare("coco_object", tmp_path / "data", tmp_path / "elsewhere" / top)
    assert done == Prepared(tmp_path / "elsewhere/coco_stuff164k", 2, 2, 0)
    assert not (tmp_path / "data").exists()


def test_small_benchmark_that_is_prepared_elsewhere_is_recognised_too(packed, tmp_path):
    prepare("cityscapes", tmp_path / "elsewhere", packed)
    done = prepare("cityscapes", tmp_path / "data", tmp_path / "elsewhere/cityscapes")
    assert done == Prepared(tmp_path / "elsewhere/cityscapes", 2, 500, 0)
    assert not (tmp_path / "data").exists()


def test_half_of_a_benchmark_is_not_taken_for_a_prepared_one_where_it_is_made(packed, tmp_path):
    prepare("cityscapes", tmp_path, packed)
    with pytest.raises(
        FileNotFoundError, match=r"leftImg8bit_trainvaltest\.zip is missing|gtFine_trainvaltest\.zip is mi"
    ):
        prepare("cityscapes", tmp_path, tmp_path)
