"""CIELAB: colours whose values are known."""

import pytest
import torch

from mmseg_tfovss.ops.lab import rgb_to_lab


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((255, 255, 255), (100, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.74, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0, 0)),
        ((3, 3, 3), (0.82, 0, 0)),  # on the straight parts of both curves
        ((128, 0, 128), (29.78, 58.93, -36.49)),
    ],
)
def test_known_colours(rgb, lab):
    image = torch.tensor(rgb).view(3, 1, 1).expand(3, 2, 5) / 255
    found = rgb_to_lab(image)
    assert found.shape == (3, 2, 5)
    torch.testing.assert_close(found[:, 1, 4], torch.tensor(lab, dtype=torch.float32), atol=0.05, rtol=0)


def test_values_outside_of_the_range_are_numbers():
    assert rgb_to_lab(torch.tensor([-0.5, 0.0, 1.5]).view(3, 1, 1)).isfinite().all()


def test_both_precisions_agree():
    image = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(rgb_to_lab(image.float()).double(), rgb_to_lab(image), atol=1e-4, rtol=0)
