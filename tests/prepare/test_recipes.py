"""Recipes: which members become which files, and what is said of archives that lack some or hold others."""

import json
import random
import re
import resource
import sys
import tarfile
import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.datasets.facts import PREPARED
from mmseg_tfovss.prepare import recipes
from mmseg_tfovss.prepare.build import prepare
from mmseg_tfovss.prepare.layout import LAYOUTS
from mmseg_tfovss.prepare.recipes import RECIPES, unpack
from tests.prepare import hostile, official

pytestmark = pytest.mark.usefixtures("one_process")

VOC2012, VOC2010 = "VOCtrainval_11-May-2012.tar", "VOCtrainval_03-May-2010.tar"
CONTEXT, MATLAB = "trainval_merged.json", "trainval.tar.gz"
COCO, COCO_MAPS = "val2017.zip", "stuffthingmaps_trainval2017.zip"
CITY, CITY_LABELS = "leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip"
ADE, ADE_FULL = "ADEChallengeData2016.zip", "ADE20K_2021_17_01.zip"
INCOMPLETE = r": it is incomplete, or not the official archive; download it again\.$"


@pytest.fixture
def archives(tmp_path):
    return official.make_archives(tmp_path / "archives")


def without(*endings):
    def change(members):
        gone = [name for name in members if name.endswith(endings)]
        assert gone
        for name in gone:
            del members[name]

    return change


def holding(ending, content):
    def change(members):
        (name,) = (name for name in members if name.endswith(ending))
        members[name] = content

    return change


def assert_no_half_file(root):
    files = [path for path in root.rglob("*") if path.is_file() and "archives" not in path.parts]
    assert not [path for path in files if path.name.startswith(".")]
    for path in files:
        if path.suffix != ".txt":
            with Image.open(path) as image:
                image.load()


# Where archives come from


def test_every_benchmark_has_a_recipe_for_its_layout():
    assert set(RECIPES) == set(PREPARED)
    for key, recipe in RECIPES.items():
        assert recipe.layout == LAYOUTS[key]


@pytest.mark.parametrize(
    ("name", "size", "checksum"),
    [
        (VOC2012, 1_999_639_040, "6cd6e144f989b92b3379bac3b3de84fd"),
        (VOC2010, None, "da459979d0c395079b5c75ee67908abb"),
        (CONTEXT, None, "3c2d0c0656b7be9eb61928ffe885d8ce"),
        (MATLAB, None, None),
        (COCO, 815_585_330, "442b8da7639aecaf257c1dceb8ba8c80"),
        (COCO_MAPS, None, None),
        (CITY, 11_592_327_197, None),
        (CITY_LABELS, 252_567_705, None),
        (ADE, None, "7328b3957e407ddae1d3cbf487f149ef"),
        (ADE_FULL, None, None),
    ],
)
def test_known_sizes_and_checksums(name, size, checksum):
    found = {archive for recipe in RECIPES.values() for archive in recipe.archives if archive.name == name}
    (archive,) = found
    assert (archive.size, archive.checksum) == (size, checksum and f"md5:{checksum}")
    assert re.fullmatch(r"https?://\S+", archive.page)
    if name in (CITY, CITY_LABELS, ADE_FULL):
        assert archive.url is None
    else:
        assert re.fullmatch(rf"https?://\S+/{re.escape(name)}", archive.url)


# Members of an archive


def test_members_are_chosen_by_the_end_of_their_path(tmp_path):
    names = ("set/A/1.txt", "A/2.txt", "./A/3.txt", "XA/4.txt", "A/5.txt.bak", "A/sub/6.txt", "B/7.txt", "A/no.txt")
    archive = official.write_tar(tmp_path / "a.tar", {name: name.encode() for name in names})
    step = unpack("texts", archive, r"A/([^/]+)\.txt", lambda name: tmp_path / name if name != "no" else None)
    assert step.targets == [tmp_path / "1", tmp_path / "2", tmp_path / "3"]
    jobs = list(step.jobs({tmp_path / "1", tmp_path / "3", tmp_path / "other"}))
    assert [(job.target, job.content) for job in jobs] == [
        (tmp_path / "1", b"set/A/1.txt"),
        (tmp_path / "3", b"./A/3.txt"),
    ]
    assert [job.source for job in jobs] == ["a.tar: set/A/1.txt", "a.tar: A/3.txt"]
    assert list(step.jobs(set())) == []


def test_converter_is_handed_on(tmp_path):
    archive = official.write_zip(tmp_path / "a.zip", {"A/1.txt": b"1"})
    for converter in (None, bytes.upper):
        (job,) = unpack("texts", archive, r"A/(1)\.txt", tmp_path.joinpath, converter).jobs({tmp_path / "1"})
        assert job.convert is converter


def test_lacking_members_are_counted(tmp_path):
    archive = official.write_zip(tmp_path / "a.zip", {"A/1.txt": b"1"})

    def lacking(*names, pattern=r"A/(\d)\.txt"):
        required = [tmp_path / name for name in names]
        with pytest.raises(ValueError, match=INCOMPLETE) as caught:
            unpack("texts", archive, pattern, tmp_path.joinpath, required=required)
        return str(caught.value).removeprefix(f"{archive} ").partition(": it is")[0]

    assert lacking("1", "2") == r"has no texts for 2 (members like A/(\d)\.txt)"
    assert lacking("4", "1", "3", "2") == r"has no texts for 2 (members like A/(\d)\.txt), nor for 2 more"
    assert lacking(pattern=r"B/(\d)\.txt") == r"has no texts (members like B/(\d)\.txt)"


@pytest.mark.parametrize("names", [("A/1.txt", "B/A/1.txt"), ("A/1.txt", "A/1.txt"), ("A/1.txt", "./A/1.txt")])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_two_members_for_one_target_are_refused(kind, names, tmp_path):
    path = tmp_path / f"a.{kind}"
    if kind == "tar":
        with tarfile.open(path, "w") as archive:
            for name in names:
                archive.addfile(tarfile.TarInfo(name))
    else:
        with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is tested here
            for name in names:
                archive.writestr(name, b"")
    with pytest.raises(ValueError, match=rf"^{path} is refused: .*'A/1\.txt'.* in it would become one file, .*/1\.$"):
        unpack("texts", path, r"A/(\d)\.txt", tmp_path.joinpath)


@pytest.mark.parametrize("name", ["\x1b[31m", "a\nb", "caf\udce9", "a\x7f", "a\x85b", ".hidden"])
def test_wanted_member_whose_name_is_no_text_is_refused(name, tmp_path):
    archive = official.write_tar(tmp_path / "a.tar", {f"A/{name}.txt": b"1", f"B/{name}.txt": b"1"})
    with pytest.raises(ValueError, match=r"a\.tar is refused: its member '.*' has a name that no official file has\.$"):
        unpack("texts", archive, r"A/([^/]+)\.txt", lambda stem: tmp_path / stem)


def test_digits_of_other_scripts_are_no_numbers(tmp_path):
    archive = official.write_zip(tmp_path / "a.zip", {"A/1.txt": b"1", "A/\u0661.txt": b"2"})
    assert unpack("texts", archive, r"A/(\d)\.txt", tmp_path.joinpath).targets == [tmp_path / "1"]


# Archives that lack something, or hold something else


@pytest.mark.parametrize(
    ("key", "archive", "change", "message"),
    [
        ("voc21", VOC2012, without("/val.txt"), r"has no list of images \(members like .*\)" + INCOMPLETE),
        ("voc21", VOC2012, without("42.jpg"), r"has no images for 2007_000042\.jpg \(.*\)" + INCOMPLETE),
        ("voc20", VOC2012, without("33.jpg", "42.jpg"), r"images for 2007_000033\.jpg \(.*\), nor for 1 more: it is"),
        ("voc20", VOC2012, without("Class/2007_000042.png"), r"has no annotations for 2007_000042\.png \("),
        ("context60", VOC2010, without("03.jpg"), r"has no images for 2008_000003\.jpg \("),
        ("pc459", VOC2010, without("03.jpg"), r"has no images for 2008_000003\.jpg \("),
        ("pc459", MATLAB, without(".mat"), r"has no annotations \(members like"),
        ("coco_object", COCO, without(".jpg"), r"val2017\.zip has no images \("),
        ("coco_object", COCO_MAPS, without("724.png"), r"has no annotations for 000000000724_instanceTrainIds\.png \("),
        ("coco_stuff164k", COCO_MAPS, without("139.png"), r"annotations for 000000000139_labelTrainIds\.png \("),
        (
            "cityscapes",
            CITY,
            without("val/frankfurt", "_000294_leftImg8bit.png", "_000019_leftImg8bit.png"),
            "no images",
        ),
        (
            "cityscapes",
            CITY_LABELS,
            without("294_gtFine_labelIds.png"),
            r"for frankfurt_000000_000294_gtFine_labelTrain",
        ),
        (
            "ade20k",
            ADE,
            without("images/validation/ADE_val_00000001.jpg", "validation/ADE_val_00000002.jpg"),
            "no images",
        ),
        ("ade20k", ADE, without("ADE_val_00000002.png"), r"has no annotations for ADE_val_00000002\.png \("),
        ("ade847", ADE_FULL, without("01.jpg", "02.jpg"), r"has no images \("),
        ("ade847", ADE_FULL, without("2_seg.png"), r"has no annotations for ADE_val_00000002\.tif \("),
    ],
)
def test_lacking_files_are_named(key, archive, change, message, archives, tmp_path):
    official.alter(archives / archive, change)
    with pytest.raises(ValueError, match=message) as caught:
        prepare(key, tmp_path, archives)
    assert str(caught.value).startswith(str(archives / archive))
    assert_no_half_file(tmp_path)


COLOURS = official.image_file("PNG")
NO_MAT = official.label_map_file([460])


@pytest.mark.parametrize(
    ("key", "archive", "member", "stem", "content", "message"),
    [
        ("voc21", VOC2012, "Class/2007_000042.png", "2007_000042", official.label_file([21]), "do not have: 21"),
        ("voc21", VOC2012, "Class/2007_000042.png", "2007_000042", COLOURS, "annotation has the colour mode RGB"),
        ("pc459", MATLAB, "2008_000003.mat", "2008_000003", NO_MAT, "do not have: 460"),
        ("pc459", MATLAB, "2008_000003.mat", "2008_000003", b"MATLAB", "no readable LabelMap"),
        ("coco_object", COCO_MAPS, "724.png", "000000000724", official.label_file([11]), "do not have: 11"),
        ("coco_stuff164k", COCO_MAPS, "724.png", "000000000724", official.label_file([182]), "do not have: 182"),
        ("cityscapes", CITY_LABELS, "munster_000000_000019_gtFine_labelIds.png", official.CITIES[1], COLOURS, "RGB"),
        ("ade20k", ADE, "ADE_val_00000002.png", "ADE_val_00000002", official.label_file([151]), "do not have: 151"),
        ("ade847", ADE_FULL, "2_seg.png", "ADE_val_00000002", official.label_file([3]), "mode L; expected RGB"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_file_that_cannot_be_converted_is_named(key, archive, member, stem, content, message, archives, tmp_path):
    official.alter(archives / archive, holding(member, content))
    with pytest.raises(ValueError, match=rf"^{archive}: .*{member}: .*{message}"):
        prepare(key, tmp_path, archives, workers=2 if key in ("ade20k", "pc459") else 1)
    assert_no_half_file(tmp_path)
    assert not RECIPES[key].layout.label(tmp_path, stem).exists()


def test_photograph_that_cannot_be_converted_is_named(archives, tmp_path):
    official.alter(archives / ADE_FULL, holding("street/ADE_val_00000002.jpg", b"no image"))
    with pytest.raises(ValueError, match=r"street/ADE_val_00000002\.jpg: the image cannot be decoded: "):
        prepare("ade847", tmp_path, archives)
    assert [path.name for path in tmp_path.rglob("*.jpg")] == ["ADE_val_00000001.jpg"]


# PASCAL Context


def write_context(archives, change):
    content = json.loads((archives / CONTEXT).read_text())
    changed = change(content) or content
    (archives / CONTEXT).write_text(json.dumps(changed))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("images") and None,
        lambda content: content.pop("annos_segmentation") and None,
        lambda content: content["images"][0].pop("image_id") and None,
        lambda content: content["images"][0].pop("phase") and None,
        lambda content: content["annos_segmentation"][0].pop("segmentation") and None,
        lambda content: [1],
        lambda content: {**content, "images": None},
    ],
)
def test_context_file_without_its_keys_is_refused(change, archives, tmp_path):
    write_context(archives, change)
    with pytest.raises(
        ValueError, match=rf"{CONTEXT} is damaged, or not the official file \(.*\): delete it and downl"
    ):
        prepare("context60", tmp_path, archives)
    assert not (tmp_path / "VOCdevkit").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["images"][0].pop("height") and None,
        lambda content: content["images"][0].pop("file_name") and None,
        lambda content: content["annos_segmentation"][0].update(segmentation=[[1, 2, 3, 4]]),
    ],
)
def test_context_file_with_other_records_is_refused(change, archives, tmp_path):
    write_context(archives, change)
    with pytest.raises(ValueError, match=CONTEXT):
        prepare("context60", tmp_path, archives)


@pytest.mark.parametrize("kept", [0, 0.5, 0.99])
def test_truncated_context_file_is_refused(kept, archives, tmp_path):
    content = (archives / CONTEXT).read_bytes()
    (archives / CONTEXT).write_bytes(content[: int(kept * len(content))])
    with pytest.raises(
        ValueError, match=r"trainval_merged\.json is damaged, or not the official file \(JSONDecodeError"
    ):
        prepare("context59", tmp_path, archives)


@pytest.mark.parametrize("name", ["../../2008_000002.jpg", "a/b.jpg", ".jpg", "a\nb.jpg", "x.png", "\x00.jpg", "é.jpg"])
def test_context_file_with_names_that_are_none_is_refused(name, archives, tmp_path):
    write_context(archives, lambda content: content["images"][0].update(file_name=name))
    with pytest.raises(
        ValueError, match=r"trainval_merged\.json is damaged, or not .* is no name of an image\): delete"
    ):
        prepare("context60", tmp_path, archives)


def test_context_file_with_two_images_of_one_name_is_refused(archives, tmp_path):
    write_context(archives, lambda content: [image.update(file_name="a.jpg") for image in content["images"]] and None)
    with pytest.raises(ValueError, match="two of its images have the same name"):
        prepare("context60", tmp_path, archives)


def test_context_file_that_is_nested_without_end_or_huge_is_refused(archives, tmp_path, monkeypatch):
    (archives / CONTEXT).write_text('{"images": ' + "[" * 1_000_000)
    with pytest.raises(
        ValueError, match=r"trainval_merged\.json is damaged, or not the official file \(RecursionError"
    ):
        prepare("context60", tmp_path, archives)
    monkeypatch.setattr(recipes, "_LARGEST_JSON", 999)
    with pytest.raises(ValueError, match=r"trainval_merged\.json has more than 999 bytes, so it is not the official"):
        prepare("context60", tmp_path, archives)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell how much memory a process has")
def test_context_file_of_many_small_lists_is_refused(archives, tmp_path, monkeypatch):
    (archives / CONTEXT).write_text('{"images": [' + "[[]]," * 5_000_000 + "0]}")
    monkeypatch.setattr(recipes, "_SPARE_MEMORY", 50_000_000)
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(ValueError, match=r"trainval_merged\.json cannot be read within 250\.0 MB of memory, so it is"):
        prepare("context60", tmp_path, archives)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


@pytest.mark.parametrize("rounds", [30, pytest.param(2_000, marks=pytest.mark.slow)])
def test_mutated_context_file_is_converted_or_one_sentence(rounds, archives, tmp_path):
    draw, original = random.Random(0), (archives / CONTEXT).read_bytes()
    for number in range(rounds):
        (archives / CONTEXT).write_bytes(hostile.mutate_json(original, draw))
        try:
            prepare("context60", tmp_path / str(number), archives)
        except ValueError as error:
            assert CONTEXT in str(error) or "VOCtrainval" in str(error)  # noqa: PT017
            assert str(error).isprintable()  # noqa: PT017
            assert str(error).endswith(".")  # noqa: PT017


def test_context_file_without_validation_images_is_refused(archives, tmp_path):
    write_context(archives, lambda content: [image.update(phase="train") for image in content["images"]] and None)
    with pytest.raises(ValueError, match=r"trainval_merged\.json lists no validation image: delete it"):
        prepare("context60", tmp_path, archives)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category_id": 3}, "do not have: 3"),
        ({"segmentation": {"size": [9, 6], "counts": "0h0n0"}}, r"the segment 0 is \[9, 6\], its image \(6, 9\)"),
    ],
)
def test_wrong_segment_names_its_image(change, message, archives, tmp_path):
    write_context(archives, lambda content: content["annos_segmentation"][0].update(change))
    with pytest.raises(ValueError, match=rf"^trainval_merged\.json: 2008_000002: .*{message}"):
        prepare("context60", tmp_path, archives)
    assert_no_half_file(tmp_path)


def test_segment_of_the_same_id_takes_the_place_of_the_first(archives, tmp_path):
    """As in the detail API, whose dictionary keeps the position of the first."""

    def change(content):
        first = next(segment for segment in content["annos_segmentation"] if segment["image_id"] == 2008000002)
        column = {"size": [6, 9], "counts": "06`1"}  # the first one: runs of 0, 6 and 48
        content["annos_segmentation"].append({**first, "category_id": 458, "segmentation": column})

    write_context(archives, change)
    prepare("context60", tmp_path, archives)
    expected = np.zeros(official.SIZE)
    expected[:, 0] = 59
    expected[0] = 53  # the tree, which covers what comes before it
    with Image.open(tmp_path / "VOCdevkit/VOC2010/SegmentationClassContext/2008_000002.png") as image:
        assert np.array_equal(np.array(image), expected)


def test_list_of_context_is_sorted(archives, tmp_path):
    write_context(archives, lambda content: content["images"].reverse())
    prepare("context60", tmp_path, archives)
    path = tmp_path / "VOCdevkit/VOC2010/ImageSets/SegmentationContext/val.txt"
    assert path.read_text() == "2008_000002\n2008_000003\n"


# PASCAL Context, 459 classes


def test_only_validation_images_of_the_bundled_list_are_taken(archives, tmp_path):
    official.alter(archives / MATLAB, lambda members: members.update({"trainval/2008_000004.mat": NO_MAT}))
    assert prepare("pc459", tmp_path, archives).images == 2
    assert RECIPES["pc459"].layout.stems(tmp_path) == ["2008_000002", "2008_000003"]


def test_list_that_is_there_decides_and_must_be_complete(archives, tmp_path):
    layout = RECIPES["pc459"].layout
    path = tmp_path / layout.folder / layout.listing
    path.parent.mkdir(parents=True)
    path.write_text("2008_000001\n")  # an image of train
    prepare("pc459", tmp_path, archives)
    assert layout.label_stems(tmp_path) == ["2008_000001"]
    assert path.read_text() == "2008_000001\n"
    path.write_text("2008_000001\n2008_000009\n")
    with pytest.raises(ValueError, match=r"has no annotations for 2008_000009\.tif \("):
        prepare("pc459", tmp_path, archives)


# COCO and Cityscapes


def test_maps_without_an_image_are_not_taken(archives, tmp_path):
    official.alter(archives / COCO_MAPS, lambda members: members.update({"val2017/000000000009.png": NO_MAT}))
    assert prepare("coco_object", tmp_path, archives).written == 4
    assert RECIPES["coco_object"].layout.label_stems(tmp_path) == [*official.COCO_IDS]


def box(label, left, right):
    return {"label": label, "polygon": [[left, 0], [right, 0], [right, 5], [left, 5]]}


def test_polygons_are_drawn_if_there_are_no_label_ids(archives, tmp_path):
    scene = {"imgHeight": 6, "imgWidth": 9, "objects": [box("road", 0, 8), box("bus", 2, 4), box("ground", 4, 5)]}

    def change(members):
        without("_labelIds.png")(members)
        for name in [name for name in members if name.endswith("_polygons.json")]:
            members[name] = json.dumps(scene).encode()

    official.alter(archives / CITY_LABELS, change)
    assert prepare("cityscapes", tmp_path, archives).written == 4
    for stem in official.CITIES:
        with Image.open(RECIPES["cityscapes"].layout.label(tmp_path, stem)) as image:
            assert np.array(image).tolist() == [[0, 0, 15, 15, 255, 255, 0, 0, 0]] * 6


def test_archives_without_their_first_folder_serve_as_well(archives, tmp_path):
    def shorten(members):
        for name in list(members):
            members[name.removeprefix("VOCdevkit/")] = members.pop(name)

    official.alter(archives / VOC2012, shorten)
    assert prepare("voc21", tmp_path, archives).images == 2


def test_recipe_can_be_given_another_layout(archives, tmp_path):
    recipe = RECIPES["ade20k"]
    layout = replace(recipe.layout, folder="elsewhere")
    steps = list(recipe.steps(layout, tmp_path, lambda archive: archives / archive.name))
    assert [step.title for step in steps] == ["images", "annotations"]
    assert steps[0].targets == [tmp_path / f"elsewhere/images/validation/{stem}.jpg" for stem in official.ADE_STEMS]
