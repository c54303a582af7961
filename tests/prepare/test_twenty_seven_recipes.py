"""COCO-27 and Cityscapes-27: conversions pixel for pixel, and trees that their configs read."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.datasets.facts import FACTS, PREPARED
from mmseg_tfovss.engine.preflight import check_files
from mmseg_tfovss.prepare import convert
from mmseg_tfovss.prepare.build import Prepared, prepare
from mmseg_tfovss.prepare.check import check
from mmseg_tfovss.prepare.layout import LAYOUTS
from mmseg_tfovss.prepare.recipes import RECIPES
from tests.prepare import official

pytestmark = pytest.mark.usefixtures("one_process")

BOTH = ("coco27", "cityscapes27")
KEYS = pytest.mark.parametrize("key", BOTH)
COCO_GAPS = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
# COCO-Stuff's raw ids -> coarse classes, row by row of IIC's table
COCO = {
    **{0: 9, 1: 11, 8: 11, 9: 8, 14: 8, 15: 7, 24: 7, 26: 6, 32: 6, 33: 10, 42: 10, 43: 5, 50: 5, 51: 2, 60: 2, 61: 3},
    **{69: 3, 71: 0, 76: 0, 77: 1, 81: 1, 83: 4, 89: 4, 91: 17, 92: 17, 93: 22, 94: 20, 95: 20, 96: 22, 97: 15, 98: 25},
    **{99: 16, 100: 13, 101: 12, 102: 12, 103: 17, 104: 17, 105: 23, 106: 15, 107: 15, 108: 17, 109: 15, 110: 21},
    **{111: 15, 112: 25, 113: 13, 117: 13, 118: 22, 119: 26, 120: 14, 121: 14, 122: 15, 123: 22, 124: 21, 125: 21},
    **{126: 24, 127: 20, 128: 22, 129: 15, 130: 17, 131: 16, 132: 15, 133: 22, 134: 24, 135: 21, 136: 17, 137: 25},
    **{138: 16, 139: 21, 140: 17, 141: 22, 142: 16, 143: 21, 144: 21, 145: 25, 146: 21, 147: 26, 148: 21, 149: 24},
    **{150: 20, 151: 17, 152: 14, 153: 21, 154: 26, 155: 15, 156: 23, 157: 20, 158: 21, 159: 24, 160: 15, 161: 24},
    **{162: 22, 163: 25, 164: 15, 165: 20, 166: 17, 167: 17, 168: 22, 169: 14, 170: 18, 176: 18, 177: 26, 178: 26},
    **{179: 19, 180: 19, 181: 24, 255: 255},
}
# Of the annotated ids, how many are in coarse class 0, 1, ..., 26
COCO_COUNTS = [6, 5, 10, 6, 7, 7, 5, 10, 5, 1, 10, 8, 2, 6, 4, 11, 4, 11, 7, 2, 6, 11, 9, 2, 6, 5, 5]
CHOSEN = ("000000000139", "000000000724")  # of IIC's list; 000000000285 is not
RAW = {  # labels in the archives, and what becomes of them
    "coco27": ([0, 12, 181, 91, 119, 255], [9, 8, 24, 17, 26, 255]),
    "cityscapes27": ([0, 7, 33, 18, 29], [255, 0, 26, 11, 22]),
}
STEMS = {"coco27": CHOSEN, "cityscapes27": official.CITIES}


@pytest.fixture
def archives(tmp_path):
    folder = tmp_path / "archives"
    official.make_archives(folder)
    raw = RAW["coco27"][0]
    numbers = ("000000000285", *CHOSEN)
    official.write_zip(
        folder / "val2017.zip",
        {f"val2017/{number}.jpg": official.image_file(seed=i) for i, number in enumerate(numbers)},
    )
    maps = {f"val2017/{number}.png": official.label_file(official.turned(raw, i)) for i, number in enumerate(numbers)}
    official.write_zip(folder / "stuffthingmaps_trainval2017.zip", maps)
    return folder


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def small(monkeypatch):
    """Benchmarks that are complete with two images."""
    for key in BOTH:
        monkeypatch.setitem(FACTS, key, replace(FACTS[key], images=2))


def expected_labels(key, number):
    steps = number + (key == "coco27")  # the first map is of an image that was not chosen
    return np.resize(official.turned(RAW[key][1], steps), official.SIZE)


def paths_of(key, data):
    layout = LAYOUTS[key]
    return [[path(data, stem) for stem in STEMS[key]] for path in (layout.image, layout.label)]


def files_in(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


def converted(function, labels):
    content = official.label_file(labels, size=(1, len(labels)))
    with Image.open(io.BytesIO(function(content))) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        return np.array(image)[0].tolist()


def found(key, data):
    return check(key, data, 1, lambda items, total: items)


# Conversions


def test_coco27_is_the_published_table():
    assert converted(convert.coco27, list(COCO)) == list(COCO.values())


def test_every_annotated_id_of_coco_has_a_class():
    ids = [raw for raw in range(182) if raw not in COCO_GAPS]
    assert np.bincount(converted(convert.coco27, ids)).tolist() == COCO_COUNTS
    assert sum(COCO_COUNTS) == 171


@pytest.mark.parametrize("raw", [*COCO_GAPS, 182, 254])
def test_coco_ids_that_nobody_annotated_are_refused(raw):
    with pytest.raises(ValueError, match=rf"do not have: {raw}\."):
        convert.coco27(official.label_file([0, raw]))


def test_cityscapes27_moves_7_to_33_down_and_ignores_void():
    assert converted(convert.cityscapes27, list(range(34))) == [255] * 7 + [*range(27)]


@pytest.mark.parametrize("raw", [34, 255])
def test_cityscapes_ids_beyond_the_table_are_refused(raw):
    with pytest.raises(ValueError, match=rf"do not have: {raw}\."):
        convert.cityscapes27(official.label_file([7, raw]))


def test_the_usual_19_classes_are_the_same_pixels():
    fine, coarse = (np.array(converted(f, list(range(34)))) for f in (convert.cityscapes27, convert.cityscapes))
    assert len(set(zip(fine[coarse != 255].tolist(), coarse[coarse != 255].tolist(), strict=True))) == 19
    assert sorted(fine[(coarse == 255) & (fine != 255)].tolist()) == [2, 3, 7, 8, 9, 11, 22, 23]


def box(label, left, right):
    return {"label": label, "polygon": [[left, 0], [right, 0], [right, 5], [left, 5]]}


def scene(*objects):
    return json.dumps({"imgHeight": 6, "imgWidth": 9, "objects": list(objects)}).encode()


def drawn(*objects):
    with Image.open(io.BytesIO(convert.cityscapes27_polygons(scene(*objects)))) as image:
        rows = np.array(image)
    assert (rows == rows[0]).all()
    return rows[0].tolist()


def test_polygons_are_drawn_with_the_27_classes():
    assert drawn(box("road", 0, 8), box("trailer", 2, 3), box("cargroup", 4, 4), box("polegroup", 5, 5)) == [
        *(0, 0, 23, 23, 19, 11, 0, 0, 0)
    ]
    assert drawn(box("parking", 0, 8), box("static", 1, 2), box("license plate", 4, 5)) == [2, 255, 255, *[2] * 6]


# Recipes and layouts


def test_chosen_images_are_the_2175_of_iic():
    lines = (convert.DATA / "coco27_val.txt").read_text(encoding="utf-8").splitlines()
    stems = [line for line in lines if not line.startswith("#")]
    assert lines[0].startswith("#")
    assert len(stems) == FACTS["coco27"].images == 2175
    assert stems == sorted(set(stems))
    assert all(len(stem) == 12 and stem.isdigit() for stem in stems)
    assert stems[:5] == ["000000000139", "000000000724", "000000000785", "000000000872", "000000000885"]
    assert set(CHOSEN) <= set(stems)
    assert "000000000285" not in stems


@KEYS
def test_archives_are_those_of_the_benchmark_that_shares_the_images(key):
    other = "coco_stuff164k" if key == "coco27" else "cityscapes"
    assert RECIPES[key].archives == RECIPES[other].archives
    assert RECIPES[key].layout == LAYOUTS[key]
    ours, theirs = LAYOUTS[key], LAYOUTS[other]
    assert (ours.folder, ours.images, ours.image_suffix) == (theirs.folder, theirs.images, theirs.image_suffix)


def test_labels_of_no_two_benchmarks_have_the_same_name(data):
    labels = {}
    for key in PREPARED:
        labels.setdefault(LAYOUTS[key].label(data, "a"), []).append(key)
    assert [keys for keys in labels.values() if len(keys) > 1] == [["voc21", "voc20"], ["context60", "context59"]]


@pytest.mark.parametrize("workers", [1, 2])
@KEYS
def test_files_that_are_made(key, workers, archives, data):
    done = prepare(key, data, archives, workers=workers)
    images, labels = paths_of(key, data)
    assert done == Prepared(data / LAYOUTS[key].folder, images=2, expected=FACTS[key].images, written=4)
    lists = {data / "coco_stuff164k/coco27_val2017.txt"} if key == "coco27" else set()
    assert files_in(data) == {*images, *labels, *lists}
    assert [path.read_text() for path in lists] == ["000000000139\n000000000724\n"] * len(lists)
    for number, path in enumerate(labels):
        with Image.open(path) as image:
            assert np.array_equal(np.array(image), expected_labels(key, number))


@KEYS
def test_config_reads_what_is_made(key, archives, data):
    prepare("coco_stuff164k" if key == "coco27" else "cityscapes", data, archives)  # more images, other labels
    prepare(key, data, archives)
    dataset = official.config_dataset(key, data / LAYOUTS[key].folder)
    check_files(dataset, key)
    assert len(dataset) == 2
    for number, sample in enumerate(dataset):
        assert np.array_equal(sample["data_samples"].gt_sem_seg.data[0].numpy(), expected_labels(key, number))
        assert sample["data_samples"].img_path == str(paths_of(key, data)[0][number])


@KEYS
def test_config_and_layout_agree(key, data):
    settings, layout = official.config_settings(key), LAYOUTS[key]
    assert settings.data_root == f"data/{layout.folder}"
    assert settings.data_prefix == {"img_path": layout.images, "seg_map_path": layout.labels}
    assert settings.get("ann_file") == layout.listing
    built = official.empty_dataset(key, data)
    assert (built.img_suffix, built.seg_map_suffix) == (layout.image_suffix, layout.label_suffix)


@KEYS
def test_images_that_another_benchmark_made_are_taken_as_they_are(key, archives, data):
    other = "coco_object" if key == "coco27" else "cityscapes"
    prepare(other, data, archives)
    before = {path: path.stat().st_mtime_ns for path in files_in(data)}
    assert prepare(key, data, archives).written == 2
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert found(other, data).wrong == ()


def test_benchmark_of_all_images_is_completed_after_the_chosen_ones(archives, data):
    prepare("coco27", data, archives)
    done = prepare("coco_stuff164k", data, archives)
    assert (done.images, done.written) == (3, 4)  # one image, three annotations
    assert len(official.config_dataset("coco_stuff164k", data / "coco_stuff164k")) == 3
    assert LAYOUTS["coco27"].stems(data) == [*CHOSEN]


@KEYS
def test_complete_benchmark_passes_the_check_and_needs_no_archive(key, archives, data, small, tmp_path):
    prepare(key, data, archives)
    report = found(key, data)
    assert (report.missing, report.wrong, report.images) == ((), (), 2)
    assert report.labels == tuple(sorted(set(RAW[key][1])))
    assert prepare(key, data, tmp_path / "none").written == 0


@KEYS
def test_check_names_what_is_missing_and_labels_out_of_range(key, archives, data, small):
    prepare(key, data, archives)
    _, (first, second) = paths_of(key, data)
    first.unlink()
    Image.new("L", official.SIZE[::-1], 27).save(second)
    report = found(key, data)
    assert report.missing == (f"{first} does not exist.",)
    assert report.wrong == (f"The annotation {second} holds the label 27, outside 0 .. 26 and 255.",)
    second.unlink()
    assert prepare(key, data, archives).written == 2
    assert found(key, data).wrong == found(key, data).missing == ()


def test_lost_list_is_made_again_and_a_short_one_completed(archives, data, small):
    prepare("coco27", data, archives)
    listing = data / "coco_stuff164k/coco27_val2017.txt"
    whole = listing.read_text()
    for ruin in (listing.unlink, lambda: listing.write_text("000000000724\n")):
        ruin()
        report = found("coco27", data)
        assert report.missing + report.wrong
        assert prepare("coco27", data, archives).written == 0
        assert listing.read_text() == whole


def test_number_of_images_is_that_of_the_benchmark(archives, data):
    prepare("coco27", data, archives)
    listing = data / "coco_stuff164k/coco27_val2017.txt"
    report = found("coco27", data)
    assert report.missing + report.wrong == (f"{listing} has 2 of 2175 images.",)


def test_archives_without_a_chosen_image_or_its_map_are_named(archives, data):
    def without(*endings):
        return lambda members: [members.pop(name) for name in list(members) if name.endswith(endings)]

    official.alter(archives / "stuffthingmaps_trainval2017.zip", without("724.png", "285.png"))
    with pytest.raises(ValueError, match=r"no annotations for 000000000724_label27TrainIds\.png \("):
        prepare("coco27", data, archives)
    official.alter(archives / "val2017.zip", without("139.jpg", "724.jpg"))
    with pytest.raises(ValueError, match=r"val2017\.zip has no images \("):
        prepare("coco27", data, archives)
    assert not LAYOUTS["coco27"].has_list(data)


def test_polygons_serve_if_there_are_no_label_ids(archives, data):
    def change(members):
        for name in [name for name in members if name.endswith("_labelIds.png")]:
            del members[name]
        for name in [name for name in members if name.endswith("_polygons.json")]:
            members[name] = scene(box("road", 0, 8), box("caravan", 2, 4))

    official.alter(archives / "gtFine_trainvaltest.zip", change)
    assert prepare("cityscapes27", data, archives).written == 4
    for path in paths_of("cityscapes27", data)[1]:
        with Image.open(path) as image:
            assert np.array(image)[0].tolist() == [0, 0, 22, 22, 22, 0, 0, 0, 0]
