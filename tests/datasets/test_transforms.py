"""Loading in an MMSeg pipeline."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.datasets.transforms import LoadImage, LoadLabels, Relabel
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


@pytest.mark.parametrize("name", ["LoadImage", "LoadLabels", "LoadImageFromFile", "LoadAnnotations", "Relabel"])
def test_are_registered(name):
    assert TRANSFORMS.get(name).__module__ == "mmseg_tfovss.datasets.transforms"


def test_relabelling_maps_all_labels_at_once():
    labels = np.array([[0, 1, 255, 7]])
    found = Relabel({0: 1, 1: 0, 255: 9})({"gt_seg_map": labels})
    assert found["gt_seg_map"].tolist() == [[1, 0, 9, 7]]
    assert labels.tolist() == [[0, 1, 255, 7]]


def test_relabelling_passes_images_without_labels():
    """As MMSegmentation's functions load them."""
    assert Relabel({0: 1})({"img_path": "a.png"}) == {"img_path": "a.png"}
