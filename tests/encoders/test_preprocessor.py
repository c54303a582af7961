"""From BGR bytes to CLIP's normalised RGB."""

import torch

from mmseg_tfovss.encoders import CLIPPreprocessor
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


def test_images_keep_their_sizes_and_samples_pass_through():
    images = [torch.zeros(3, 4, 5, dtype=torch.uint8), torch.zeros(3, 7, 2, dtype=torch.uint8)]
    samples = [object(), object()]
    found = CLIPPreprocessor()({"inputs": images, "data_samples": samples})
    assert [tuple(image.shape) for image in found["inputs"]] == [(3, 4, 5), (3, 7, 2)]
    assert all(one is two for one, two in zip(found["data_samples"], samples, strict=True))
    assert images[0].dtype == torch.uint8
    assert not images[0].any()


def test_follows_the_dtype_of_the_model():
    [found] = CLIPPreprocessor().double()({"inputs": [torch.zeros(3, 1, 1, dtype=torch.uint8)]})["inputs"]
    assert found.dtype == torch.float64


def test_other_statistics():
    preprocessor = MODELS.build({"type": "CLIPPreprocessor", "mean": (1, 2, 3), "std": (1.0, 2.0, 4.0)})
    [found] = preprocessor({"inputs": [torch.tensor([7, 6, 5], dtype=torch.uint8).view(3, 1, 1)]})["inputs"]
    assert found.flatten().tolist() == [4.0, 2.0, 1.0]
