"""VOC without background: 20 classes, background and void ignored."""

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from mmseg.datasets import PascalVOCDataset
from PIL import Image

from mmseg_tfovss.registry import DATASETS
from mmseg_tfovss.vocabulary import load_vocabulary


@pytest.fixture
def voc(tmp_path):
    """One image of five pixels in VOC's layout, labelled background, aeroplane, bicycle, monitor, void."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    Image.new("RGB", (5, 1)).save(tmp_path / "JPEGImages/a.jpg")
    Image.fromarray(np.array([[0, 1, 2, 20, 255]], dtype=np.uint8)).save(tmp_path / "SegmentationClass/a.png")
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("a\n")
    config = {
        "type": "PascalVOC20Dataset",
        "data_root": str(tmp_path),
        "ann_file": "ImageSets/Segmentation/val.txt",
        "data_prefix": {"img_path": "JPEGImages", "seg_map_path": "SegmentationClass"},
        "pipeline": [{"type": "LoadImage"}, {"type": "LoadLabels"}],
        "test_mode": True,
    }
    with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
        return DATASETS.build(config)


def test_background_and_void_are_ignored(voc):
    assert len(voc) == 1
    assert voc[0]["gt_seg_map"].tolist() == [[255, 0, 1, 19, 255]]


def test_classes_are_vocs_without_background(voc):
    theirs = PascalVOCDataset.METAINFO
    assert voc.metainfo["classes"] == theirs["classes"][1:]
    assert voc.metainfo["palette"] == theirs["palette"][1:]
    assert theirs["classes"][0] == "background"


@pytest.mark.parametrize("name", ["voc20", "voc20_clearclip"])
def test_vocabularies_follow_the_order_of_the_classes(name, voc):
    names = load_vocabulary(name).names
    assert len(names) == 20
    renamed = {"boat": "ship", "diningtable": "table"}
    for ours, theirs in zip(names[:19], voc.metainfo["classes"], strict=False):
        assert ours == renamed.get(theirs, theirs)
    assert names[19] in ("television monitor", "tvmonitor")
