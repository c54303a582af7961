"""COCO-Object: things and background, and no pixel that does not count."""

import numpy as np
import pytest
import torch
from mmseg.datasets import COCOStuffDataset
from PIL import Image

from mmseg_tfovss.datasets import COCOObjectDataset
from mmseg_tfovss.datasets.transforms import LoadImage, LoadLabels
from mmseg_tfovss.evaluation import SegmentationMetric
from mmseg_tfovss.vocabulary import load_vocabulary


def counted(truth, prediction):
    metric = SegmentationMetric()
    metric.dataset_meta = COCOObjectDataset.METAINFO
    sample = {"pred_sem_seg": {"data": torch.tensor([[prediction]])}, "gt_sem_seg": {"data": torch.tensor([[truth]])}}
    metric.process(None, [sample])
    return int(metric.confusion.sum())


def test_classes_are_background_and_the_things_of_coco_stuff():
    meta, stuff = COCOObjectDataset.METAINFO, COCOStuffDataset.METAINFO
    assert len(meta["classes"]) == len(meta["palette"]) == 81
    assert (meta["classes"][0], meta["classes"][1], meta["classes"][80]) == ("background", "person", "toothbrush")
    assert meta["palette"][0] == [0, 0, 0]
    for label in range(1, 81):
        assert meta["classes"][label] == stuff["classes"][label - 1]
        assert meta["palette"][label] == stuff["palette"][label - 1]


def test_vocabulary_has_the_same_order():
    names = [name.replace(" ", "") for name in load_vocabulary("coco_object_clearclip").names]
    theirs = [name.replace(" ", "") for name in COCOObjectDataset.METAINFO["classes"]]
    assert [pair for pair in zip(names, theirs, strict=True) if pair[0] != pair[1]] == []


def test_labels_are_read_beside_those_of_coco_stuff(tmp_path):
    Image.new("RGB", (3, 1)).save(tmp_path / "a.jpg")
    Image.fromarray(np.array([[0, 1, 80]], np.uint8)).save(tmp_path / "a_instanceTrainIds.png")
    Image.fromarray(np.array([[0, 170, 255]], np.uint8)).save(tmp_path / "a_labelTrainIds.png")
    prefix = {"img_path": "", "seg_map_path": ""}
    dataset = COCOObjectDataset(data_root=str(tmp_path), data_prefix=prefix, pipeline=[LoadImage(), LoadLabels()])
    assert len(dataset) == 1
    assert dataset[0]["gt_seg_map"].tolist() == [[0, 1, 80]]


def test_every_pixel_counts():
    assert COCOObjectDataset.METAINFO["ignore_index"] is None
    assert counted([0, 0, 1, 80], [0, 3, 1, 0]) == 4


@pytest.mark.parametrize("label", [81, 255])
def test_void_is_an_error(label):
    with pytest.raises(ValueError, match=rf"label {label}, outside 0 \.\. 80 .*ignored label: None"):
        counted([0, label], [0, 0])
