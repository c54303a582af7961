"""Images in grey levels, resized as Pillow does it."""

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_tfovss.ops.grey_levels import resize_grey_levels


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(40, 40), (40, 97), (63, 41), (90, 120), (11, 17)])
def test_every_pixel_is_pillows(size, mode):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 61, 3), dtype=np.uint8)
    expected = Image.fromarray(pixels)
    for step in ((size[1], 40), size[::-1]):  # rows first; newer versions of Pillow choose the order
        expected = expected.resize(step, getattr(Image, mode.upper()))
    found = resize_grey_levels(torch.from_numpy(pixels).permute(2, 0, 1)[None].float(), size, mode)
    assert found.dtype == torch.float32
    assert np.array_equal(found[0].permute(1, 2, 0).numpy(), expected)


def test_an_image_of_its_own_size_stays_as_it_is():
    image = torch.arange(256.0).view(1, 1, 16, 16)
    assert torch.equal(resize_grey_levels(image, (16, 16)), image)
