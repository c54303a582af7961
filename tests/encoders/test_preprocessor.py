"""From BGR bytes to CLIP's normalised RGB."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_tfovss.encoders import CLIPPreprocessor
from mmseg_tfovss.encoders.image_size import cut_centre_square_labels, resize_short_side, stretch_to_square
from mmseg_tfovss.encoders.preprocessor import OPENAI_MEAN, OPENAI_STD
from mmseg_tfovss.registry import MODELS


def test_reverses_channels_then_normalises():
    image = torch.tensor([10, 100, 250], dtype=torch.uint8).view(3, 1, 1).expand(3, 2, 4)  # B, G, R
    [found] = CLIPPreprocessor()({"inputs": [image]})["inputs"]
    expected = [(250 - 122.771) / 68.501, (100 - 116.746) / 66.632, (10 - 104.094) / 70.323]
    torch.testing.assert_close(found, torch.tensor(expected).view(3, 1, 1).expand(3, 2, 4))


def test_black_and_white_are_clips():
    """CLIP: (x / 255 - mean) / std, RGB."""
    mean, std = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    for grey in (0, 255):
        [found] = CLIPPreprocessor()({"inputs": [torch.full((3, 1, 1), grey, dtype=torch.uint8)]})["inputs"]
        torch.testing.assert_close(found.flatten(), (grey / 255 - mean) / std, atol=1e-4, rtol=0)


def test_images_without_a_short_side_keep_their_sizes():
    images = [torch.zeros(3, 4, 5, dtype=torch.uint8), torch.zeros(3, 7, 2, dtype=torch.uint8)]
    found = CLIPPreprocessor()({"inputs": images})
    assert [tuple(image.shape) for image in found["inputs"]] == [(3, 4, 5), (3, 7, 2)]
    assert [tuple(sample.ori_shape) for sample in found["data_samples"]] == [(4, 5), (7, 2)]
    assert images[0].dtype == torch.uint8
    assert not images[0].any()


def sample(height, width, labels=None, path="a.png"):
    made = SegDataSample(metainfo={"ori_shape": (height, width), "img_path": path})
    if labels is not None:
        made.gt_sem_seg = PixelData(data=labels[None])
    return made


def noise(height, width):
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_short_side_resizes_images_and_leaves_labels():
    images, labels = [noise(40, 60), noise(30, 20)], [torch.ones(40, 60).long(), torch.ones(30, 20).long()]
    samples = [sample(40, 60, labels[0]), sample(30, 20, labels[1])]
    found = CLIPPreprocessor(short_side=10)({"inputs": images, "data_samples": samples})
    assert [tuple(image.shape) for image in found["inputs"]] == [(3, 10, 15), (3, 15, 10)]
    assert [tuple(one.ori_shape) for one in found["data_samples"]] == [(40, 60), (30, 20)]
    assert [tuple(one.gt_sem_seg.shape) for one in found["data_samples"]] == [(40, 60), (30, 20)]
    resized = resize_short_side(images[0].permute(1, 2, 0).numpy(), 10)
    [plain] = CLIPPreprocessor()({"inputs": [torch.from_numpy(resized).permute(2, 0, 1)]})["inputs"]
    assert torch.equal(found["inputs"][0], plain)


def test_the_centre_square_is_cut_out_of_image_and_labels():
    labels = torch.arange(40 * 60).view(40, 60)
    given = sample(40, 60, labels)
    found = CLIPPreprocessor(short_side=10, centre_square=True)({"inputs": [noise(40, 60)], "data_samples": [given]})
    [cut] = found["data_samples"]
    assert tuple(found["inputs"][0].shape) == (3, 10, 10)
    assert tuple(cut.ori_shape) == (10, 10)
    assert np.array_equal(cut.gt_sem_seg.data[0].numpy(), cut_centre_square_labels(labels.numpy(), 10))
    assert tuple(given.ori_shape) == (40, 60)  # whose it is, it stays
    assert torch.equal(given.gt_sem_seg.data[0], labels)


def test_a_stretched_square_is_the_whole_image_and_leaves_labels():
    labels = torch.arange(40 * 60).view(40, 60)
    image, preprocessor = noise(40, 60), CLIPPreprocessor(short_side=10, stretch_to_square=True)
    found = preprocessor({"inputs": [image], "data_samples": [sample(40, 60, labels)]})
    [stretched] = found["data_samples"]
    assert tuple(stretched.ori_shape) == (40, 60)
    assert torch.equal(stretched.gt_sem_seg.data[0], labels)
    pixels = image.permute(1, 2, 0).numpy()
    square = torch.from_numpy(stretch_to_square(pixels, 10)).permute(2, 0, 1)
    [plain] = CLIPPreprocessor()({"inputs": [square]})["inputs"]
    assert torch.equal(found["inputs"][0], plain)
    assert preprocessor.labelled(pixels) is pixels


@pytest.mark.parametrize(("short_side", "square"), [(None, False), (10, False), (10, True)])
def test_originals_are_kept_where_a_method_looks_at_them(short_side, square):
    """RGB, before resizing; of the centre square, what is labelled."""
    image, preprocessor = noise(40, 60), CLIPPreprocessor(short_side=short_side, centre_square=square)
    assert "original" not in preprocessor({"inputs": [image]})["data_samples"][0]
    preprocessor.keeps_original = True
    [kept] = preprocessor({"inputs": [image]})["data_samples"]
    rgb = image.flip(0).permute(1, 2, 0).numpy()
    expected = preprocessor.labelled(rgb) if square else rgb
    assert kept.original.shape[:2] == tuple(kept.ori_shape)
    assert np.array_equal(kept.original, expected)


def test_an_image_that_a_pipeline_has_resized_is_refused():
    with pytest.raises(ValueError, match=r"image a\.png of 40x60 pixels .* comes as 20x30, but the model resizes it"):
        CLIPPreprocessor(short_side=10)({"inputs": [noise(20, 30)], "data_samples": [sample(40, 60)]})


def test_statistics_follow_the_weights_unless_they_are_given():
    half = (0.5, 0.5, 0.5)
    preprocessor = CLIPPreprocessor()
    before = preprocessor.mean.clone()
    preprocessor.follow(OPENAI_MEAN, OPENAI_STD)
    assert torch.equal(preprocessor.mean, before)  # rounded as in the field
    preprocessor.follow(half, half)
    assert preprocessor.mean.flatten().tolist() == preprocessor.std.flatten().tolist() == [127.5] * 3
    given = CLIPPreprocessor(mean=(1, 2, 3))
    given.follow(half, half)
    assert given.mean.flatten().tolist() == [1, 2, 3]
    assert given.std.flatten().tolist() == [127.5] * 3


@pytest.mark.parametrize("mean", [(1, 2), "abc", (1, 2, "3"), 5, (-1, 0, 0)])
def test_statistics_are_three_numbers(mean):
    with pytest.raises(ValueError, match=r"model\.data_preprocessor\.mean must be three numbers"):
        CLIPPreprocessor(mean=mean)


def test_follows_the_dtype_of_the_model():
    [found] = CLIPPreprocessor().double()({"inputs": [torch.zeros(3, 1, 1, dtype=torch.uint8)]})["inputs"]
    assert found.dtype == torch.float64


def test_other_statistics():
    preprocessor = MODELS.build({"type": "CLIPPreprocessor", "mean": (1, 2, 3), "std": (1.0, 2.0, 4.0)})
    [found] = preprocessor({"inputs": [torch.tensor([7, 6, 5], dtype=torch.uint8).view(3, 1, 1)]})["inputs"]
    assert found.flatten().tolist() == [4.0, 2.0, 1.0]
