"""Labels as an image's fourth channel."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_tfovss.encoders import CLIPPreprocessor
from mmseg_tfovss.encoders.labelled import LabelledPreprocessor, patch_labels

IMAGE = torch.randint(0, 256, (3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def labelled(labels):
    return SegDataSample(gt_sem_seg=PixelData(data=torch.tensor(labels)[None]))


def test_colours_are_clips_and_labels_come_behind_them():
    labels = torch.arange(24).view(4, 6) + 65520  # more than half precision could hold
    data = {"inputs": [IMAGE], "data_samples": [labelled(labels.tolist())]}
    [found] = LabelledPreprocessor()(data)["inputs"]
    assert torch.equal(found[:3], CLIPPreprocessor()({"inputs": [IMAGE]})["inputs"][0])
    assert torch.equal(found[3].long(), labels + 1)


def test_labels_are_resized_to_the_nearest():
    data = {"inputs": [IMAGE], "data_samples": [labelled([[0, 5, 9], [255, 2, 3]])]}
    [found] = LabelledPreprocessor()(data)["inputs"]
    rows = [[1, 1, 6, 6, 10, 10], [256, 256, 3, 3, 4, 4]]
    assert found[3].tolist() == [rows[0], rows[0], rows[1], rows[1]]


@pytest.mark.parametrize("samples", [None, [SegDataSample()]])
def test_images_without_labels_keep_three_channels(samples):
    [found] = LabelledPreprocessor()({"inputs": [IMAGE], "data_samples": samples})["inputs"]
    assert found.shape == (3, 4, 6)
    with pytest.raises(ValueError, match=r"^model\.recovery='within_ground_truth' is an oracle, for an ablation only"):
        patch_labels(found[None], 2)


def test_a_patch_has_the_label_of_most_of_its_pixels():
    labels = [[1, 1, 7, 4, 9], [1, 2, 4, 4, 9], [3, 3, 0, 0, 9]]
    images = torch.cat([torch.zeros(1, 3, 3, 5), torch.tensor(labels)[None, None].float()], dim=1)
    assert patch_labels(images, 2).tolist() == [[1, 4]]
    assert patch_labels(images, 1).tolist() == [torch.tensor(labels).flatten().tolist()]
