"""Datasets with more than 255 classes: 65535 is ignored, and 255 is a class."""

import numpy as np
import pytest
import torch
from mmseg.datasets import PascalVOCDataset
from PIL import Image

from mmseg_tfovss.datasets import ADE20K847Dataset, PascalContext459Dataset
from mmseg_tfovss.datasets.transforms import LoadImage, LoadLabels
from mmseg_tfovss.evaluation import SegmentationMetric
from mmseg_tfovss.ops.colours import pascal_colours
from mmseg_tfovss.vocabulary import load_vocabulary

BOTH = pytest.mark.parametrize(
    ("kind", "name", "count"), [(PascalContext459Dataset, "pc459", 459), (ADE20K847Dataset, "ade847", 847)]
)


@pytest.fixture
def build(tmp_path):
    """Datasets of one image, whose pixels are labelled 0, 1, 254, 255, 256, 458 and 65535."""
    Image.new("RGB", (7, 1)).save(tmp_path / "a.jpg")
    Image.fromarray(np.array([[0, 1, 254, 255, 256, 458, 65535]], np.uint16)).save(tmp_path / "a.tif")
    (tmp_path / "val.txt").write_text("a\n")

    def build(kind, **options):
        prefix = {"img_path": "", "seg_map_path": ""}
        pipeline = [LoadImage(), LoadLabels()]
        return kind("val.txt", data_root=str(tmp_path), data_prefix=prefix, pipeline=pipeline, **options)

    return build


def labels(dataset):
    return dataset[0]["gt_seg_map"][0].tolist()


def counted(kind, truth, prediction):
    metric = SegmentationMetric()
    metric.dataset_meta = kind.METAINFO
    sample = {"pred_sem_seg": {"data": torch.tensor([[prediction]])}, "gt_sem_seg": {"data": torch.tensor([[truth]])}}
    metric.process(None, [sample])
    return {tuple(pair): int(metric.confusion[tuple(pair)]) for pair in metric.confusion.nonzero().tolist()}


@BOTH
def test_classes_are_those_of_the_vocabulary(kind, name, count, build):
    for meta in (kind.METAINFO, build(kind).metainfo):
        assert tuple(meta["classes"]) == tuple(load_vocabulary(name).names)
        assert len(set(meta["classes"])) == count
        assert meta["ignore_index"] == 65535


@BOTH
def test_every_class_has_a_colour_of_its_own(kind, name, count, build):
    palette = build(kind).metainfo["palette"]
    assert palette == kind.METAINFO["palette"]
    assert len({tuple(colour) for colour in palette}) == len(palette) == count
    assert all(0 <= channel <= 255 for colour in palette for channel in colour)


def test_first_colours_are_pascals():
    theirs = PascalVOCDataset.METAINFO["palette"]
    assert pascal_colours(len(theirs)) == theirs
    assert pascal_colours(0) == []


@BOTH
def test_labels_are_loaded_as_they_are(kind, name, count, build):
    dataset = build(kind)
    assert labels(dataset) == [0, 1, 254, 255, 256, 458, 65535]
    assert (dataset.seg_map_suffix, dataset.img_suffix, dataset.ignore_index) == (".tif", ".jpg", 65535)
    assert not dataset.reduce_zero_label


def test_suffix_can_be_changed(build):
    assert build(PascalContext459Dataset, seg_map_suffix=".png", lazy_init=True).seg_map_suffix == ".png"


@BOTH
def test_classes_that_are_left_out_are_ignored(kind, name, count, build):
    names = kind.METAINFO["classes"]
    dataset = build(kind, metainfo={"classes": (names[256], names[0])})
    assert labels(dataset) == [1, 65535, 65535, 65535, 0, 65535, 65535]
    assert set(dataset.label_map.values()) == {0, 1, 65535}
    assert dataset.metainfo["palette"] == [pascal_colours(257)[256], [0, 0, 0]]


@BOTH
def test_of_many_classes_the_new_number_255_is_one(kind, name, count, build):
    names = kind.METAINFO["classes"]
    dataset = build(kind, metainfo={"classes": names[1:300]})
    assert labels(dataset) == [65535, 0, 253, 254, 255, 65535, 65535]
    assert sorted(set(dataset.label_map.values())) == [*range(299), 65535]


def test_all_classes_or_none_given_are_no_subset():
    names = PascalContext459Dataset.METAINFO["classes"]
    assert PascalContext459Dataset.get_label_map() is None
    assert PascalContext459Dataset.get_label_map(names) is None
    with pytest.raises(ValueError, match="subset"):
        PascalContext459Dataset.get_label_map(("unicorn",))


@BOTH
def test_metric_counts_255_and_ignores_65535(kind, name, count):
    truth, prediction = [0, 255, 255, 65535, 256], [0, 255, 7, 255, 256]
    assert counted(kind, truth, prediction) == {(0, 0): 1, (255, 255): 1, (255, 7): 1, (256, 256): 1}


@BOTH
def test_metric_refuses_labels_beyond_the_classes(kind, name, count):
    assert counted(kind, [count - 1], [count - 1])
    with pytest.raises(ValueError, match=rf"label {count}, outside 0 \.\. {count - 1} .*ignored label: 65535"):
        counted(kind, [count], [0])
