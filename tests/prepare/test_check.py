"""Checking: every kind of defect is named, and a complete benchmark has none."""

import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.datasets.facts import FACTS, PREPARED
from mmseg_tfovss.prepare.build import prepare
from mmseg_tfovss.prepare.check import check
from mmseg_tfovss.prepare.layout import LAYOUTS
from tests.prepare import official

pytestmark = pytest.mark.usefixtures("one_process")

SEEN = {
    "voc21": (0, 1, 20, 255),
    "voc20": (0, 1, 20, 255),
    "context60": (0, 1, 53),
    "context59": (0, 1, 53),
    "pc459": (0, 255, 256, 458, 65535),
    "coco_object": (0, 1, 12, 80),
    "coco_stuff164k": (0, 11, 79, 80, 170, 255),
    "coco27": (4, 8, 9, 17, 24, 255),
    "cityscapes": (0, 18, 255),
    "cityscapes27": (0, 11, 22, 26, 255),
    "ade20k": (0, 1, 150),
    "ade847": (0, 1, 255, 65535),
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Benchmarks that are complete with two images."""
    for key in PREPARED:
        monkeypatch.setitem(FACTS, key, replace(FACTS[key], images=2))


@pytest.fixture
def made(tmp_path):
    """Prepare a benchmark, and give its first image and annotation."""
    archives = official.make_archives(tmp_path / "archives")

    def make(key):
        prepare(key, tmp_path, archives)
        layout = LAYOUTS[key]
        stem = layout.stems(tmp_path)[0]
        return layout.image(tmp_path, stem), layout.label(tmp_path, stem)

    return make


def found(key, root, workers=1):
    return check(key, root, workers, lambda items, total: items)


def save(labels, path, dtype=np.uint8):
    Image.fromarray(np.array(labels, dtype)).save(path)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("key", PREPARED)
def test_complete_benchmark(key, workers, made, tmp_path):
    made(key)
    report = found(key, tmp_path, workers)
    assert (report.missing, report.wrong) == ((), ())
    assert (report.folder, report.images, report.labels) == (tmp_path / LAYOUTS[key].folder, 2, SEEN[key])


def test_every_image_is_watched(made, tmp_path):
    made("ade20k")
    watched = []

    def watch(items, total):
        for item in items:
            watched.append(total)
            yield item

    check("ade20k", tmp_path, 2, watch)
    assert watched == [2, 2]


@pytest.mark.parametrize("key", PREPARED)
def test_nothing_there(key, tmp_path):
    report = found(key, tmp_path)
    layout = LAYOUTS[key]
    expected = (
        f"The list of images {tmp_path / layout.folder / layout.listing} does not exist."
        if layout.listing
        else f"{tmp_path / layout.folder / layout.images} has 0 of 2 images."
    )
    assert (report.images, report.labels, report.missing, report.wrong) == (0, (), (expected,), ())


@pytest.mark.parametrize("key", ["voc21", "pc459"])
def test_listed_files_that_are_missing_are_named(key, made, tmp_path):
    image, label = made(key)
    image.unlink()
    label.unlink()
    assert found(key, tmp_path).missing == (f"{image} does not exist.", f"{label} does not exist.")


def test_annotation_that_is_missing_is_named(made, tmp_path):
    _, label = made("cityscapes")
    label.unlink()
    report = found("cityscapes", tmp_path)
    assert (report.images, report.missing, report.wrong) == (2, (f"{label} does not exist.",), ())


def test_annotation_without_image_is_named_and_the_number_is_wrong(made, tmp_path):
    image, label = made("coco_object")
    made("coco_stuff164k")
    image.unlink()
    expected = (f"{image.parent} has 1 of 2 images.", f"{label} has no image {image}.")
    assert found("coco_object", tmp_path).missing == expected


def test_surplus_annotation_of_a_complete_set_must_be_deleted(made, tmp_path):
    _, label = made("coco_object")
    surplus = label.with_name("000000000001_instanceTrainIds.png")
    surplus.write_bytes(label.read_bytes())
    report = found("coco_object", tmp_path)
    assert report.missing == ()
    assert [line.split(" has no image")[0] for line in report.wrong] == [str(surplus)]


def test_unreadable_list_must_be_deleted(made, tmp_path):
    made("voc21")
    listing = tmp_path / LAYOUTS["voc21"].folder / LAYOUTS["voc21"].listing
    for content in (b"", b"a\n\nb\n", b"\xff\xfe\x00"):
        listing.write_bytes(content)
        report = found("voc21", tmp_path)
        assert report.missing == ()
        assert len(report.wrong) == 1
        assert str(listing) in report.wrong[0]


def test_annotations_beyond_the_list_belong_to_other_sets(made, tmp_path):
    _, label = made("voc21")
    label.with_stem("2007_000032").write_bytes(label.read_bytes())
    assert found("voc21", tmp_path).missing == ()


def test_wrong_number_of_listed_images(made, tmp_path):
    made("context60")
    listing = tmp_path / LAYOUTS["context60"].folder / LAYOUTS["context60"].listing
    listing.write_text("2008_000002\n")
    report = found("context59", tmp_path)
    assert (report.images, report.missing, report.wrong) == (1, (), (f"{listing} has 1 of 2 images.",))


@pytest.mark.parametrize(
    ("key", "label", "limits"),
    [
        ("voc21", 21, "0 .. 20 and 255"),
        ("voc20", 254, "0 .. 20 and 255"),
        ("context59", 60, "0 .. 59 and 255"),
        ("coco_object", 255, "0 .. 80"),
        ("coco_object", 81, "0 .. 80"),
        ("coco_stuff164k", 171, "0 .. 170 and 255"),
        ("cityscapes", 19, "0 .. 18 and 255"),
        ("ade20k", 151, "0 .. 150 and 255"),
        ("pc459", 459, "0 .. 458 and 65535"),
        ("ade847", 847, "0 .. 846 and 65535"),
    ],
)
def test_label_out_of_range(key, label, limits, made, tmp_path):
    _, path = made(key)
    labels = np.zeros(official.SIZE)
    labels[3, 4] = label
    save(labels, path, np.uint16 if path.suffix == ".tif" else np.uint8)
    report = found(key, tmp_path)
    assert report.wrong == (f"The annotation {path} holds the label {label}, outside {limits}.",)
    assert report.missing == ()
    assert label in report.labels


@pytest.mark.parametrize("shape", [(9, 6), (6, 8), (12, 18)])
def test_annotation_of_another_size(shape, made, tmp_path):
    image, label = made("ade20k")
    save(np.zeros(shape), label)
    sizes = f"is {shape[0]}x{shape[1]} pixels, but its image {image} is 6x9 (height x width)."
    assert found("ade20k", tmp_path).wrong == (f"The annotation {label} {sizes}",)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("key", ["ade20k", "ade847"])
@pytest.mark.parametrize("content", [b"", b"<html>404</html>", None])
def test_damaged_file(content, key, number, made, tmp_path):
    path = made(key)[number]
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    (sentence,) = found(key, tmp_path).wrong
    assert sentence.startswith(f"The {('image', 'annotation')[number]} {path} ")


def test_mask_in_colour(made, tmp_path):
    _, label = made("voc21")
    label.write_bytes(official.image_file("PNG"))
    (sentence,) = found("voc21", tmp_path).wrong
    assert sentence.startswith(f"The annotation {label} has the colour mode RGB")


@pytest.mark.parametrize("key", ["voc21", "ade847"])
def test_label_maps_that_are_jpeg_inside_are_named_and_the_others_are_counted(key, made, tmp_path):
    """All labels are 0, which JPEG keeps; others it does not."""
    _, label = made(key)
    Image.new("L", official.SIZE[::-1]).save(label, "JPEG")
    report = found(key, tmp_path)
    (sentence,) = report.wrong
    assert sentence.startswith(f"The annotation {label} ")
    assert "JPEG" in sentence
    assert (report.images, report.missing) == (2, ())
    assert set(report.labels) == set(SEEN[key])


def test_bombs_are_named_and_the_others_are_counted(made, tmp_path):
    image, label = made("ade20k")
    content = bytearray(official.label_file([0]))
    content[16:24] = (100_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    for path in (image, label):
        path.write_bytes(content)
    (sentence,) = found("ade20k", tmp_path).wrong
    assert sentence.startswith(f"The annotation {label} has ")
    assert "pixels, but at most" in sentence


def test_all_wrong_files_are_named_in_order(made, tmp_path):
    made("ade20k")
    labels = [LAYOUTS["ade20k"].label(tmp_path, stem) for stem in official.ADE_STEMS]
    for label in labels:
        label.write_bytes(b"")
    report = found("ade20k", tmp_path, workers=2)
    assert [str(label) in sentence for label, sentence in zip(labels, report.wrong, strict=True)] == [True, True]


def test_what_a_killed_run_left_is_no_image(made, tmp_path):
    image, label = made("coco_object")
    for path in (image, label):
        path.with_name(f".{path.stem}.123{path.suffix}").write_bytes(b"half")
    report = found("coco_object", tmp_path)
    assert (report.images, report.missing, report.wrong) == (2, (), ())


def test_wrong_file_that_was_deleted_is_made_anew(made, tmp_path):
    _, label = made("ade847")
    whole = label.read_bytes()
    label.write_bytes(whole[:20])
    assert found("ade847", tmp_path).wrong
    label.unlink()
    made("ade847")
    report = found("ade847", tmp_path)
    assert (report.missing, report.wrong) == ((), ())
    assert label.read_bytes() == whole
