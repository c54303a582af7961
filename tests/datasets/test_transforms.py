"""Loading and resizing in an MMSeg pipeline."""

import cv2
import numpy as np
import pytest
from mmcv.transforms import Resize
from PIL import Image

from mmseg_tfovss.datasets.transforms import CentreSquare, LoadImage, LoadLabels, Relabel, ResizeShortSide
from mmseg_tfovss.registry import TRANSFORMS


def colours(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def results_for(labels, folder, **kwargs):
    Image.fromarray(labels).save(folder / "labels.png")
    image = {"img_path": "image.jpg", "ori_shape": labels.shape, "orientation": 1}
    return {"seg_map_path": str(folder / "labels.png"), **image, **kwargs}


def test_load_image_notes_the_original_size(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), colours(5, 7))
    results = LoadImage()({"img_path": str(tmp_path / "a.png")})
    assert np.array_equal(results["img"], colours(5, 7))
    assert results["ori_shape"] == results["img_shape"] == (5, 7)


@pytest.mark.parametrize("short_side", [56, 60, 448])
@pytest.mark.parametrize("size", [(50, 75), (75, 50), (33, 33), (31, 97), (120, 90), (56, 60)])
def test_resize_equals_mmcvs(size, short_side):
    image = colours(*size)
    expected = Resize(scale=(2048, short_side), keep_ratio=True)({"img": image.copy()})
    found = ResizeShortSide(short_side=short_side)({"img": image.copy(), "img_path": "a.png"})
    assert np.array_equal(found["img"], expected["img"])
    assert found["img_shape"] == expected["img_shape"] == found["img"].shape[:2]
    assert min(found["img_shape"]) == short_side


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((500, 333), 336, (505, 336)),
        ((500, 333), 448, (673, 448)),
        ((240, 320), 300, (300, 400)),
        ((100, 1000), 336, (205, 2048)),
        ((1000, 100), 336, (2048, 205)),
    ],
)
def test_sizes_by_hand(size, short_side, expected):
    """The long side stops at 2048."""
    found = ResizeShortSide(short_side=short_side)({"img": colours(*size), "img_path": "a.png"})
    assert found["img"].shape[:2] == expected


def test_cap_can_be_changed():
    found = ResizeShortSide(short_side=50, long_cap=80)({"img": colours(20, 40), "img_path": "a.png"})
    assert found["img"].shape[:2] == (40, 80)


def test_very_long_image_is_named():
    with pytest.raises(ValueError, match=r"The image a\.png of 1x5000 pixels .* is too elongated"):
        ResizeShortSide(short_side=336)({"img": colours(1, 5000), "img_path": "a.png"})


def test_longest_image_that_still_has_a_short_side():
    found = ResizeShortSide(short_side=336)({"img": colours(1, 4096), "img_path": "a.png"})
    assert found["img"].shape[:2] == (1, 2048)


@pytest.mark.parametrize(("short_side", "long_cap"), [(0, 2048), (-5, 2048), (336.0, 2048), ("336", 2048), (336, 0)])
def test_sizes_must_be_positive(short_side, long_cap):
    with pytest.raises(ValueError, match=rf"short_side must be a positive number of pixels, but got '?{short_side}"):
        ResizeShortSide(short_side=short_side, long_cap=long_cap)


def test_labels_are_loaded_as_they_are(tmp_path):
    labels = np.array([[0, 1, 255], [3, 2, 0]], dtype=np.uint8)
    results = LoadLabels()(results_for(labels, tmp_path, reduce_zero_label=False))
    assert results["gt_seg_map"].dtype == np.int64
    assert np.array_equal(results["gt_seg_map"], labels)
    assert results["seg_fields"] == ["gt_seg_map"]


def test_reduced_zero_becomes_the_ignore_index(tmp_path):
    labels = np.array([[0, 1, 255], [3, 2, 254]], dtype=np.uint8)
    results = LoadLabels()(results_for(labels, tmp_path, reduce_zero_label=True))
    assert results["gt_seg_map"].tolist() == [[255, 0, 255], [2, 1, 253]]


def test_reduced_zero_of_16_bit_labels(tmp_path):
    labels = np.array([[0, 1, 65535, 256]], dtype=np.uint16)
    results = LoadLabels(ignore_index=65535)(results_for(labels, tmp_path, reduce_zero_label=True))
    assert results["gt_seg_map"].tolist() == [[65535, 0, 65535, 255]]


def test_label_map_follows_zero_label_reduction_as_in_mmseg(tmp_path):
    labels = np.array([[0, 1, 2, 20, 255]], dtype=np.uint8)
    mapping = {number: number if number < 2 else 255 for number in range(20)}
    results = results_for(labels, tmp_path, label_map=mapping, reduce_zero_label=True)
    assert LoadLabels()(results)["gt_seg_map"].tolist() == [[255, 0, 1, 255, 255]]


def test_label_map_of_chosen_classes_is_applied_once(tmp_path):
    """Every id is looked up in the original map: 0 -> 1 and 1 -> 2 must not chain."""
    labels = np.array([[0, 1, 2, 255]], dtype=np.uint8)
    results = LoadLabels()(results_for(labels, tmp_path, label_map={0: 1, 1: 2, 2: 255}))
    assert results["gt_seg_map"].tolist() == [[1, 2, 255, 255]]


def test_size_mismatch_is_named(tmp_path):
    results = results_for(np.zeros((4, 5), np.uint8), tmp_path) | {"ori_shape": (5, 4)}
    message = r"The annotation .*labels\.png is 4x5 pixels, but its image image\.jpg is 5x4"
    with pytest.raises(ValueError, match=message):
        LoadLabels()(results)


def test_labels_that_may_lie_otherwise_than_their_square_image_are_refused(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(colours(5, 5)).save(tmp_path / "image.jpg", exif=exif)
    results = results_for(np.zeros((5, 5), np.uint8), tmp_path) | {"img_path": str(tmp_path / "image.jpg")}
    message = r"The image .*image\.jpg has the EXIF orientation 3 and its annotation .*labels\.png has 1"
    with pytest.raises(ValueError, match=message):
        LoadLabels()(LoadImage()(results))
    with pytest.raises(ValueError, match=message):  # loaded by another transform, which has noted nothing
        LoadLabels()({key: value for key, value in results.items() if key != "orientation"})


@pytest.mark.parametrize("name", ["LoadImage", "LoadLabels", "ResizeShortSide"])
def test_are_registered(name):
    assert TRANSFORMS.get(name).__module__ == "mmseg_tfovss.datasets.transforms"


@pytest.mark.parametrize("size", [(40, 60), (61, 37), (33, 33), (24, 95), (101, 24)])
@pytest.mark.parametrize("side", [24, 33])
def test_centre_square_is_torchvisions(size, side):
    from torchvision.transforms import functional

    image = colours(*size)
    labels = np.arange(size[0] * size[1]).reshape(size)
    found = CentreSquare(side)({"img": image, "gt_seg_map": labels, "img_path": "a.png"})
    picture = functional.center_crop(functional.resize(Image.fromarray(image), side, Image.BICUBIC), side)
    assert np.array_equal(found["img"], np.asarray(picture))
    nearest = functional.resize(Image.fromarray(labels.astype(np.int32)), side, Image.NEAREST)
    assert np.array_equal(found["gt_seg_map"], np.asarray(functional.center_crop(nearest, side)))
    assert found["ori_shape"] == found["img_shape"] == (side, side)


def test_centre_square_needs_a_side():
    with pytest.raises(ValueError, match="short_side must be a positive number of pixels, but got 0"):
        CentreSquare(0)


def test_relabelling_maps_all_labels_at_once_and_notes_unlabelled_images():
    labels = np.array([[0, 1, 255, 7]])
    found = Relabel({0: 1, 1: 0, 255: 9}, unlabelled=[0, 255])({"gt_seg_map": labels})
    assert found["gt_seg_map"].tolist() == [[1, 0, 9, 7]]
    assert found["labelled"]
    assert labels.tolist() == [[0, 1, 255, 7]]
    assert not Relabel(unlabelled=[0, 255])({"gt_seg_map": np.array([[0, 255]])})["labelled"]
    assert Relabel()({"gt_seg_map": np.array([[255]])})["labelled"]
