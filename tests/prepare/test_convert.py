"""Conversions, pixel for pixel, against values that are worked out here."""

import io
import json
from functools import partial

import cv2
import numpy as np
import pytest
import scipy.io
from PIL import Image
from pycocotools import mask as coco_mask

from mmseg_tfovss.prepare import convert
from mmseg_tfovss.vocabulary import load_vocabulary
from tests.prepare import official

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
    with pytest.raises(ValueError, match=r"cannot be decoded|no readable LabelMap|Expecting|Unterminated|delimiter"):
        function(content[: kept if isinstance(kept, int) else int(kept * len(content))])
