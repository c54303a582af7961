"""Conversions, pixel for pixel, against values that are worked out here."""

import io
import json
import random
import struct
import zlib
from functools import partial

import cv2
import numpy as np
import pytest
import scipy.io
from PIL import Image
from pycocotools import mask as coco_mask

from mmseg_tfovss.prepare import convert, jobs, workers
from mmseg_tfovss.prepare.jobs import Job, UnreadableError, run_jobs
from mmseg_tfovss.vocabulary import load_vocabulary
from tests.prepare import hostile, official

COCO_GAPS = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
# labelIds 0 .. 33 of cityscapesScripts' labels.py
CITYSCAPES = [255] * 7 + [0, 1, 255, 255, 2, 3, 4, 255, 255, 255, 5, 255, *range(6, 16), 255, 255, 16, 17, 18]
# A few rows of MaskFormer's table: id -> class
ADE847 = {2978: 0, 312: 1, 6: 263, 3156: 358, 1857: 255, 2315: 256, 3148: 846}


def png(labels, dtype=np.uint8):
    return official._encode(Image.fromarray(np.atleast_2d(np.array(labels, dtype))), "PNG")


def decoded(content, kind="PNG", mode="L"):
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.mode) == (kind, mode)
        return np.array(image)


def converted(convert_file, labels):
    return decoded(convert_file(png(labels)))[0].tolist()


# Files that are taken as they are: PASCAL VOC, ADE20K


@pytest.mark.parametrize("palette", [True, False])
def test_checked_file_is_kept_byte_for_byte(palette):
    content = official.label_file([0, 1, 20, 255], palette=palette)
    assert convert.checked(content, 21) == content


def test_label_out_of_range_is_named():
    assert convert.checked(png([20]), 21)
    with pytest.raises(ValueError, match=r"holds labels that the official files do not have: 21, 254\.$"):
        convert.checked(png([0, 254, 21, 255, 21]), 21)


def test_of_many_unknown_labels_five_are_named():
    with pytest.raises(ValueError, match=r"do not have: 10, 11, 12, 13, 14 \.\.\.\.$"):
        convert.checked(png(range(10, 16)), 10)
    with pytest.raises(ValueError, match=r"do not have: 10, 11, 12, 13, 14\.$"):
        convert.checked(png(range(10, 15)), 10)


def test_16_bit_labels_out_of_range_are_named():
    with pytest.raises(ValueError, match=r"do not have: 256, 65535\."):
        convert.checked(png([3, 256, 65535], np.uint16), 21)


# COCO


def test_coco_stuff_numbers_the_171_classes_in_order_and_keeps_void():
    ids = [number for number in range(182) if number not in COCO_GAPS]
    assert converted(convert.coco_stuff, [*ids, 255]) == [*range(171), 255]
    assert converted(convert.coco_stuff, [10, 12, 26, 43, 64, 66, 71, 89, 91, 181]) == [
        *(10, 11, 24, 39, 59, 60, 62, 79, 80, 170)
    ]


def test_coco_object_numbers_the_80_things_from_1_and_makes_background_of_the_rest():
    things = [number for number in range(90) if number not in COCO_GAPS]
    assert converted(convert.coco_object, things) == [*range(1, 81)]
    assert converted(convert.coco_object, [0, 12, 26, 64, 81, 89]) == [1, 12, 25, 60, 73, 80]
    assert converted(convert.coco_object, [*range(91, 182), 255]) == [0] * 92


@pytest.mark.parametrize("function", [convert.coco_stuff, convert.coco_object])
@pytest.mark.parametrize("raw", [*COCO_GAPS, 182, 254])
def test_coco_ids_that_nobody_annotated_are_refused(function, raw):
    with pytest.raises(ValueError, match=rf"do not have: {raw}\."):
        function(png([0, raw]))


# Cityscapes


def test_cityscapes_table():
    assert converted(convert.cityscapes, range(34)) == CITYSCAPES
    assert [load_vocabulary("cityscapes").names[CITYSCAPES[raw]] for raw in (7, 11, 26)] == ["road", "building", "car"]


@pytest.mark.parametrize("raw", [34, 255])
def test_cityscapes_ids_beyond_the_table_are_refused(raw):
    with pytest.raises(ValueError, match=rf"do not have: {raw}\."):
        convert.cityscapes(png([7, raw]))


def box(label, left, top, right, bottom, **more):
    corners = [[left, top], [right, top], [right, bottom], [left, bottom]]  # inclusive, as Pillow draws them
    return {"label": label, "polygon": corners, **more}


def drawn(*objects, width=9, height=6):
    scene = {"imgWidth": width, "imgHeight": height, "objects": list(objects)}
    return decoded(convert.cityscapes_polygons(json.dumps(scene).encode()))


def test_polygons_are_drawn_in_order_on_void():
    expected = np.full((6, 9), 255)
    expected[1:5, 1:5] = 0
    expected[3:6, 3:9] = 13
    assert np.array_equal(drawn(box("road", 1, 1, 4, 4), box("car", 3, 3, 8, 5)), expected)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("cargroup", 13),
        ("persongroup", 11),
        ("bicyclegroup", 18),
        ("traffic light", 6),
        ("polegroup", 255),
        ("pole", 5),
        ("caravan", 255),
        ("ego vehicle", 255),
        ("ground", 255),
    ],
)
def test_classes_of_polygons(label, expected):
    assert (drawn(box("sky", 0, 0, 8, 5), box(label, 0, 0, 8, 5)) == expected).all()


def test_number_plates_and_deleted_things_are_not_drawn():
    hidden = (box("license plate", 0, 0, 8, 5), box("road", 0, 0, 8, 5, deleted=1))
    assert (drawn(box("car", 0, 0, 8, 5, deleted=0), *hidden) == 13).all()


@pytest.mark.parametrize(
    "scene", [{}, [1], {"imgWidth": 9, "imgHeight": 6, "objects": [{"label": "car", "polygon": [[1, 2]]}]}]
)
def test_polygon_file_without_what_is_needed_is_refused(scene):
    with pytest.raises(ValueError):  # noqa: PT011 - no message yet
        convert.cityscapes_polygons(json.dumps(scene).encode())


# PASCAL Context


def runs(counts, size=(6, 9)):
    return {"size": list(size), "counts": counts}


def context(*segments, size=(6, 9)):
    listed = [
        {"id": number, "category_id": raw, "segmentation": mask} for number, (raw, mask) in enumerate(segments, start=7)
    ]
    return convert.context60(json.dumps({"height": size[0], "width": size[1], "segments": listed}).encode())


# By hand: four columns (runs of 0, 24 and 30), all of the first column but its top (1, 5, 48), and the top row.
LEFT, BELOW, TOP = runs("0h0n0"), runs("15`1"), runs("015" + 16 * "0")


def test_context_ids_are_numbered_in_order():
    assert len(convert.CONTEXT59_IDS) == 59
    assert list(convert.CONTEXT59_IDS) == sorted(convert.CONTEXT59_IDS)
    names, all_names = load_vocabulary("context59").names, load_vocabulary("pc459").names
    for raw, name in zip(convert.CONTEXT59_IDS, names, strict=True):
        assert all_names[raw - 1].replace(" ", "") == name.replace(" ", "")


def test_run_lengths_go_down_the_columns():
    expected = np.zeros((6, 9))
    expected[:, :4] = 1
    assert np.array_equal(decoded(context((2, LEFT))), expected)
    expected[:] = 0
    expected[1:, 0] = 53  # the raw id 420
    assert np.array_equal(decoded(context((420, BELOW))), expected)


def test_later_segments_cover_earlier_ones():
    expected = np.zeros((6, 9))
    expected[:, :4] = 59
    expected[0] = 1
    assert np.array_equal(decoded(context((458, LEFT), (2, TOP))), expected)
    expected[:, :4] = 59
    assert np.array_equal(decoded(context((2, TOP), (458, LEFT))), expected)


def test_image_without_segments_is_background():
    assert np.array_equal(decoded(context(size=(2, 3))), np.zeros((2, 3)))


@pytest.mark.parametrize("raw", [1, 3, 459, 460, -1])
def test_segment_of_another_class_is_refused(raw):
    with pytest.raises(ValueError, match=rf"do not have: {raw}\."):
        context((2, LEFT), (raw, TOP))


def test_segment_of_another_size_is_named():
    with pytest.raises(ValueError, match=r"the segment 8 is \[9, 6\], its image \(6, 9\)"):
        context((2, LEFT), (2, runs("0h0n0", (9, 6))))


def test_run_lengths_longer_than_the_image_are_refused():
    with pytest.raises(ValueError, match="run lengths of the segment 7 do not fit"):
        context((2, runs("h1")))


def test_run_lengths_are_cocos():
    draw = np.random.default_rng(0)
    for share in (0.0, 0.02, 0.5, 0.98, 1.0):
        mask = np.asfortranarray(draw.random((37, 53)) < share)
        compressed = coco_mask.encode(mask.astype(np.uint8))
        lengths = convert.run_lengths(compressed["counts"].decode())
        assert sum(lengths) == mask.size
        assert np.array_equal(np.repeat(np.arange(len(lengths)) % 2 == 1, lengths), mask.flatten(order="F"))


def test_run_lengths_that_end_too_soon_are_refused():
    with pytest.raises(ValueError, match="end in the middle of a number"):
        convert.run_lengths("0P")


def test_run_lengths_shorter_than_the_image_are_refused():
    with pytest.raises(ValueError, match="segment 7"):
        context((2, runs("0h0")))


def label_map(**variables):
    file = io.BytesIO()
    scipy.io.savemat(file, variables)
    return file.getvalue()


@pytest.mark.parametrize("dtype", [np.uint16, np.float64])
def test_label_map_moves_down_by_one_and_none_becomes_65535(dtype):
    found = decoded(convert.context459(label_map(LabelMap=np.arange(460, dtype=dtype).reshape(2, 230))), "TIFF", "I;16")
    assert found.dtype == np.uint16
    assert found.ravel().tolist() == [65535, *range(459)]
    assert found[1, 26] == 255  # label 256: a class like the others


@pytest.mark.parametrize("raw", [460, -1])
def test_label_map_out_of_range_is_refused(raw):
    with pytest.raises(ValueError, match=rf"do not have: {raw}\."):
        convert.context459(label_map(LabelMap=np.array([[459, raw]], np.int32)))


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file", label_map(labels=np.ones((2, 2)))])
def test_file_without_label_map_is_refused(content):
    with pytest.raises(ValueError, match=r"the MATLAB file has no readable LabelMap \("):
        convert.context459(content)


def test_label_map_of_three_dimensions_is_refused():
    with pytest.raises(ValueError, match="LabelMap"):
        convert.context459(label_map(LabelMap=np.ones((2, 2, 2))))


# ADE20K with 847 classes


def ade(codes):
    """Colours of class codes; red has ten values for each, and blue is another thing."""
    codes = np.atleast_2d(np.array(codes))
    red = codes // 256 * 10 + np.arange(codes.size).reshape(codes.shape) % 6  # 250 + 5 is the last one
    blue = np.arange(codes.size).reshape(codes.shape) % 256
    return official._encode(Image.fromarray(np.stack([red, codes % 256, blue], -1).astype(np.uint8)), "PNG")


def test_ade847_ids_are_taken_from_red_and_green():
    found = decoded(convert.ade847_labels(ade([*ADE847] * 2)), "TIFF", "I;16")
    assert found[0].tolist() == [*ADE847.values()] * 2


def test_other_ade_classes_become_65535():
    assert (decoded(convert.ade847_labels(ade([0, 1, 7, 25 * 256 + 255])), "TIFF", "I;16") == 65535).all()


def test_ade847_has_as_many_ids_as_classes():
    found = decoded(convert.ade847_labels(ade(np.arange(3200).reshape(40, 80))), "TIFF", "I;16")
    assert sorted(found[found < 65535].tolist()) == list(range(847))


def test_code_of_every_red_value():
    red = np.arange(256, dtype=np.uint8)
    pixels = np.stack([red, np.full(256, 312 - 256, np.uint8), red], -1)[None]
    found = decoded(convert.ade847_labels(official._encode(Image.fromarray(pixels), "PNG")), "TIFF", "I;16")[0]
    assert np.flatnonzero(found == 1).tolist() == list(range(10, 20))


SIZES = [
    ((600, 900), (512, 768)),
    ((900, 600), (768, 512)),
    ((600, 600), (512, 512)),
    ((512, 700), (512, 700)),
    ((700, 512), (700, 512)),
    ((513, 513), (512, 512)),
    ((300, 1300), (300, 1300)),
    ((40, 30), (40, 30)),
    ((1024, 1025), (512, 512)),  # 512.5: half to even
    ((1024, 1027), (512, 514)),  # 513.5
    ((1027, 1024), (514, 512)),
    ((600, 601), (512, 513)),  # 512.85
]


@pytest.mark.parametrize(("size", "expected"), SIZES)
def test_short_side_of_ade847_is_512_at_most(size, expected):
    labels = np.random.default_rng(0).choice([*ADE847, 1], (4, 5)).repeat(300, 0).repeat(300, 1)[: size[0], : size[1]]
    found = decoded(convert.ade847_labels(ade(labels)), "TIFF", "I;16")
    assert found.shape == expected
    rows = np.floor(np.arange(expected[0]) * (size[0] / expected[0])).astype(int)
    columns = np.floor(np.arange(expected[1]) * (size[1] / expected[1])).astype(int)
    nearest = labels[rows][:, columns]
    assert np.array_equal(found, np.vectorize(lambda code: ADE847.get(code, 65535))(nearest))


@pytest.mark.parametrize(("size", "expected"), SIZES[:8])
def test_photograph_has_the_size_of_its_labels_and_is_compressed_anew(size, expected):
    original = official.image_file(size=size)
    with Image.open(io.BytesIO(original)) as image:
        pixels = np.array(image)
    resized = cv2.resize(pixels, expected[::-1], interpolation=cv2.INTER_LINEAR)
    content = convert.ade847_image(original)
    assert decoded(content, "JPEG", "RGB").shape == (*expected, 3)
    assert content == official._encode(Image.fromarray(resized), "JPEG")
    assert content != original


def test_grey_photograph_becomes_rgb():
    grey = official._encode(Image.fromarray(np.full((4, 5), 77, np.uint8)), "JPEG")
    assert (decoded(convert.ade847_image(grey), "JPEG", "RGB") == 77).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_ade847_labels_must_be_colours(mode):
    content = official._encode(Image.new(mode, (4, 4)), "PNG")
    with pytest.raises(ValueError, match=rf"the annotation has the colour mode {mode}; expected RGB"):
        convert.ade847_labels(content)


# What all refuse

LABEL_MAPS = (partial(convert.checked, labels=21), convert.coco_stuff, convert.coco_object, convert.cityscapes)


@pytest.mark.parametrize("function", LABEL_MAPS)
def test_colour_mask_is_refused(function):
    with pytest.raises(ValueError, match="annotation has the colour mode RGB; expected one channel"):
        function(official.image_file("PNG"))


NOISE = np.random.default_rng(0).integers(0, 11, 1200)
CONTENTS = [
    *((function, official.label_file(NOISE, (30, 40))) for function in LABEL_MAPS),
    (convert.cityscapes_polygons, json.dumps({"imgWidth": 3, "imgHeight": 2, "objects": []}).encode()),
    (convert.context60, json.dumps({"height": 6, "width": 9, "segments": []}).encode()),
    (convert.context459, official.label_map_file([0, 1])),
    (convert.ade847_labels, official.ade_code_file([2978, 312], (30, 40))),
    (convert.ade847_image, official.image_file(size=(30, 40))),
]


@pytest.mark.parametrize(("function", "content"), CONTENTS, ids=lambda value: "" if isinstance(value, bytes) else None)
@pytest.mark.parametrize("kept", [0, 1, 0.1, 0.5, 0.8])
def test_truncated_file_is_refused(function, content, kept):
    assert function(content)
    with pytest.raises(
        ValueError, match=r"cannot be decoded|damaged|no readable LabelMap|Expecting|Unterminated|delimiter"
    ):
        function(content[: kept if isinstance(kept, int) else int(kept * len(content))])


# What is hostile

HUGE = 2_000_000_000


def png_of_size(width, height, colour):
    """A PNG whose header claims a size, with a checksum that is right; colour 0 is grey, 2 is RGB."""
    content = bytearray(official._encode(Image.new("RGB" if colour else "L", (9, 6)), "PNG"))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


def tiff_of_size(width, height):
    """The same of a TIFF: the values of its tags 256 and 257."""
    content = bytearray(official._encode(Image.new("I;16", (9, 6)), "TIFF"))
    for tag, value in ((256, width), (257, height)):
        start = content.index(struct.pack("<HH", tag, 4))
        content[start + 8 : start + 12] = value.to_bytes(4, "little")
    return bytes(content)


def segments(**changes):
    return json.dumps({"height": 6, "width": 9, "segments": [], **changes}).encode()


def scene(**changes):
    return json.dumps({"imgWidth": 9, "imgHeight": 6, "objects": [], **changes}).encode()


def one_segment(**changes):
    return segments(segments=[{"id": 7, "category_id": 2, "segmentation": LEFT, **changes}])


BOMBS = {
    "huge PNG": (convert.coco_stuff, png_of_size(100_000, 100_000, 0)),
    "PNG of 2 ** 31 columns": (convert.coco_stuff, png_of_size(2**31 - 1, 1, 0)),
    "huge TIFF": (partial(convert.checked, labels=21), tiff_of_size(100_000, 100_000)),
    "huge colours": (convert.ade847_labels, png_of_size(100_000, 100_000, 2)),
    "huge photograph": (convert.ade847_image, png_of_size(100_000, 100_000, 2)),
    "huge segments": (convert.context60, segments(height=HUGE, width=HUGE)),
    "sizes below 0": (convert.context60, segments(height=-6, width=-9)),
    "sizes with fractions": (convert.context60, segments(height=6.5)),
    "no size": (convert.context60, segments(height=0)),
    "size that is text": (convert.context60, segments(width="9")),
    "run of 10 ** 12": (convert.context60, one_segment(segmentation=runs("P" * 8 + "1"))),
    "run of a million digits": (convert.context60, one_segment(segmentation=runs("o" * 1_000_000))),
    "runs beyond the image": (convert.context60, one_segment(segmentation=runs("h1h1h1h1"))),
    "runs below 0": (convert.context60, one_segment(segmentation=runs("0hN"))),
    "runs that are a list": (convert.context60, one_segment(segmentation=runs([0, 24, 30]))),
    "runs of other characters": (convert.context60, one_segment(segmentation=runs("0\u0660h0n0"))),
    "class with a fraction": (convert.context60, one_segment(category_id=2.5)),
    "class that is text": (convert.context60, one_segment(category_id="2")),
    "class beyond all numbers": (convert.context60, one_segment(category_id=10**30)),
    "class that is true": (convert.context60, one_segment(category_id=True)),
    "segments that are none": (convert.context60, segments(segments=None)),
    "nested without end": (convert.context60, b"[" * 1_000_000),
    "huge scene": (convert.cityscapes_polygons, scene(imgWidth=HUGE, imgHeight=HUGE)),
    "scene nested without end": (convert.cityscapes_polygons, b'{"objects": ' + b"[" * 1_000_000),
    "corner far away": (convert.cityscapes_polygons, scene(objects=[box("car", 0, 0, HUGE, 1e300)])),
    "corner that is no number": (convert.cityscapes_polygons, scene(objects=[box("car", 0, 0, float("nan"), 5)])),
    "label map of text": (convert.context459, label_map(LabelMap="text")),
    "label map of structures": (convert.context459, label_map(LabelMap={"a": 1})),
    "label map of cells": (convert.context459, label_map(LabelMap=np.array([[1, "a"]], object))),
    "label map of complex numbers": (convert.context459, label_map(LabelMap=np.ones((2, 2), complex))),
    "label map of fractions": (convert.context459, label_map(LabelMap=np.full((2, 2), 1.5))),
    "label map of no numbers": (convert.context459, label_map(LabelMap=np.full((2, 2), np.nan))),
    "label map of huge numbers": (convert.context459, label_map(LabelMap=np.full((2, 2), 1e300))),
    "empty label map": (convert.context459, label_map(LabelMap=np.zeros((0, 0)))),
}


def convert_all(contents, folder, seconds=10.0):
    """Failures by number, each a sentence in one line; all others are written."""
    many = [Job(folder / f"{i}", f"a.zip: {i}", content, function) for i, (function, content) in enumerate(contents)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "MOST_FAILURES", len(many) + 1)
        patch.setattr(workers, "SECONDS", seconds)
        try:
            run_jobs(many, total=len(many), workers=2, title="labels")
            failures = []
        except UnreadableError as error:
            failures = error.failures
    found = {int(line.split(": ")[1]): line for line in failures}
    assert len(found) == len(failures)
    assert {path.name for path in folder.iterdir()} == {str(i) for i in range(len(many)) if i not in found}
    for line in failures:
        assert line.isprintable()
        assert line.endswith(".")
        assert len(line) < 500
        assert "object at 0x" not in line
    return found


def test_every_bomb_is_a_sentence_in_little_time_and_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "MEMORY", 500_000_000)
    found = convert_all(BOMBS.values(), tmp_path)
    assert [name for i, name in enumerate(BOMBS) if i not in found] == []
    assert not [line for line in found.values() if "takes longer" in line or "crashes" in line]


def test_reader_that_crashes_costs_one_file(tmp_path):
    good = official.label_map_file([1])
    contents = [(convert.context459, content) for content in (good, official.crashing_label_map(), good)]
    assert set(convert_all(contents, tmp_path)) == {1}


FUZZED = {
    "mat": (convert.context459, official.label_map_file([0, 1, 459]), partial(hostile.mutate_bytes, start=124)),
    "segments": (convert.context60, hostile.context_segments(), hostile.mutate_json),
    "segments' bytes": (convert.context60, hostile.context_segments(), hostile.mutate_bytes),
    "polygons": (convert.cityscapes_polygons, hostile.polygons(), hostile.mutate_json),
    "grey": (convert.coco_stuff, official.label_file([0, 1, 255], (30, 40)), hostile.mutate_bytes),
    "palette": (partial(convert.checked, labels=21), official.label_file([0, 20], palette=True), hostile.mutate_bytes),
    "colours": (convert.ade847_labels, official.ade_code_file([2978, 312], (30, 40)), hostile.mutate_bytes),
    "photograph": (convert.ade847_image, official.image_file(size=(30, 40)), hostile.mutate_bytes),
}
ALLOWED = {
    "mat": {*range(459), 65535},
    "segments": range(60),
    "segments' bytes": range(60),
    "polygons": {*range(19), 255},
}


@pytest.mark.parametrize("rounds", [150, pytest.param(5_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", FUZZED)
def test_mutated_files_are_converted_or_named(kind, rounds, tmp_path):
    function, content, mutate = FUZZED[kind]
    draw = random.Random(kind)
    found = convert_all([(function, mutate(content, draw)) for _ in range(rounds)], tmp_path)
    assert 0 < len(found) < rounds
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            labels = np.unique(np.asarray(image)).tolist()
        assert set(labels) <= {*ALLOWED.get(kind, labels)}
