"""Joint bilateral upsampling against a loop over pixels, and what it is for: edges."""

import itertools
import math
from fractions import Fraction

import pytest
import torch

from mmseg_tfovss.ops import jbu as jbu_module
from mmseg_tfovss.ops import joint_bilateral_upsample


def brute_force(maps, guide, sigma_space, sigma_range, radius):
    """The formula, pixel by pixel; distances in fractions, so that borders between cells are exact."""
    (channels, h, w), (height, width) = maps.shape, guide.shape[1:]
    out = maps.new_zeros(channels, height, width)
    rows, columns = positions(h, height), positions(w, width)
    centres = {
        (i, j): read(guide, (i + 0.5) * height / h - 0.5, (j + 0.5) * width / w - 0.5)
        for i, j in itertools.product(range(h), range(w))
    }
    for y, x in itertools.product(range(height), range(width)):
        near = [[q for q in range(n) if abs(p - q) <= radius + 0.5] for n, p in ((h, rows[y]), (w, columns[x]))]
        total = 0.0
        for i, j in itertools.product(*near):
            space = ((rows[y] - i) ** 2 + (columns[x] - j) ** 2) / (2 * sigma_space**2)
            colour = (guide[:, y, x] - centres[i, j]).square().sum().item() / (2 * sigma_range**2)
            weight = math.exp(-space - colour)
            total += weight
            out[:, y, x] += weight * maps[:, i, j]
        out[:, y, x] /= total
    return out


def positions(cells, pixels):
    """Of every pixel, in cells."""
    return [Fraction((2 * pixel + 1) * cells, 2 * pixels) - Fraction(1, 2) for pixel in range(pixels)]


def read(guide, row, column):
    """The guide between its pixels, bilinear."""
    height, width = guide.shape[1:]
    row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
    top, left = int(row), int(column)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = torch.lerp(guide[:, top, left], guide[:, top, right], column - left)
    lower = torch.lerp(guide[:, bottom, left], guide[:, bottom, right], column - left)
    return torch.lerp(upper, lower, row - top)


# Even, odd and fractional factors, among them 3/2 and 5/4, where pixels lie on borders between cells.
SIZES = [
    (4, 5, 16, 20),
    (3, 5, 9, 25),
    (3, 4, 13, 11),
    (4, 6, 6, 9),
    (4, 8, 5, 10),
    (5, 6, 5, 6),
    (6, 7, 4, 3),
    (1, 1, 5, 4),
]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("radius", [0, 1, 2])
def test_any_factor_equals_the_formula(sizes, radius):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 3, *sizes[:2], generator=generator, dtype=torch.float64)
    guide = torch.rand(2, 3, *sizes[2:], generator=generator, dtype=torch.float64)
    found = joint_bilateral_upsample(maps, guide, sigma_space=0.8, sigma_range=0.2, radius=radius)
    torch.testing.assert_close(found[1], brute_force(maps[1], guide[1], 0.8, 0.2, radius))
    alone = joint_bilateral_upsample(maps[:1], guide[:1], sigma_space=0.8, sigma_range=0.2, radius=radius)
    torch.testing.assert_close(found[:1], alone)
    single = joint_bilateral_upsample(maps.float(), guide.half(), sigma_space=0.8, sigma_range=0.2, radius=radius)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), found, atol=2e-2, rtol=0)  # half a guide


@pytest.mark.parametrize("radius", [0, 1, 2])
@pytest.mark.parametrize("sizes", SIZES)
def test_mirrored_and_transposed_inputs_give_the_same_of_the_result(sizes, radius):
    generator = torch.Generator().manual_seed(1)
    maps = torch.randn(1, 2, *sizes[:2], generator=generator, dtype=torch.float64)
    guide = torch.rand(1, 3, *sizes[2:], generator=generator, dtype=torch.float64)
    found = joint_bilateral_upsample(maps, guide, radius=radius)
    for change in (lambda one: one.flip(-1), lambda one: one.flip(-2), lambda one: one.transpose(-1, -2)):
        changed = joint_bilateral_upsample(change(maps), change(guide), radius=radius)
        torch.testing.assert_close(changed, change(found), atol=1e-12, rtol=0)


def test_a_pixel_on_a_border_sees_the_cells_of_both_sides():
    """Three pixels for two cells: the one in the middle is as near to the first as to the second."""
    maps = torch.tensor([[[[0.0, 1.0]]]])
    found = joint_bilateral_upsample(maps, torch.zeros(1, 3, 1, 3), radius=0)
    assert found.flatten().tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("brightness", [0.0, 0.7])
def test_narrow_colour_weights_keep_their_digits(brightness):
    """At sigma_range = 0.01, in smooth regions and on both sides of an edge within a cell, against float64."""
    draw = torch.Generator().manual_seed(2)
    guide = brightness + 0.05 * torch.rand(3, 15, 16, generator=draw)
    guide[:, :, 7:] += 0.2
    maps = torch.randn(2, 3, 4, generator=draw)
    found = joint_bilateral_upsample(maps[None], guide[None], sigma_range=0.01, radius=1)[0]
    expected = brute_force(maps.double(), guide.double(), 1.0, 0.01, 1)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)


def test_no_images_are_upsampled_to_none():
    assert joint_bilateral_upsample(torch.rand(0, 2, 4, 4), torch.rand(0, 3, 8, 9)).shape == (0, 2, 8, 9)


def test_tiles_do_not_show(monkeypatch):
    maps, guide = torch.randn(1, 4, 9, 7), torch.rand(1, 3, 50, 31)
    whole = joint_bilateral_upsample(maps, guide)
    monkeypatch.setattr(jbu_module, "_ELEMENTS", 1)  # one row of cells at a time
    torch.testing.assert_close(joint_bilateral_upsample(maps, guide), whole, atol=1e-6, rtol=0)
    strips = list(jbu_module.upsampled_strips(maps[0], guide[0], sigma_space=1, sigma_range=0.1, radius=2))
    assert [rows.start for rows, _ in strips] == [0, *(rows.stop for rows, _ in strips[:-1])]
    assert strips[-1][0].stop == 50
    assert len(strips) == 9


def test_a_constant_map_stays_constant():
    found = joint_bilateral_upsample(torch.full((1, 2, 6, 5), 0.7), torch.rand(1, 3, 40, 37))
    torch.testing.assert_close(found, torch.full((1, 2, 40, 37), 0.7))


def test_an_edge_of_the_guide_is_kept():
    """The map's step lies within a cell; the guide says where."""
    guide = torch.zeros(1, 3, 32, 32)
    guide[..., 13:] = 1  # a cell has 8 pixels; the centre of the second, between columns 11 and 12, is dark
    maps = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 1, 4, 4)
    found = joint_bilateral_upsample(maps, guide, sigma_space=1, sigma_range=0.1, radius=2)[0, 0]
    assert (found[:, :13] < 1e-6).all()
    assert (found[:, 13:] > 1 - 1e-6).all()
    blurred = joint_bilateral_upsample(maps, torch.zeros(1, 3, 32, 32))[0, 0]
    assert 0.2 < blurred[16, 14] < 0.8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sigma_space": 0}, "sigma_space"),
        ({"sigma_range": -1}, "sigma_range"),
        ({"radius": -1}, "radius"),
        ({"radius": 1.5}, "radius"),
        ({"radius": True}, "radius"),
        ({"sigma_range": math.nan}, "sigma_range"),
        ({"sigma_space": True}, "sigma_space"),
        ({"guide": torch.rand(2, 3, 8, 8)}, "must agree in B"),
        ({"guide": torch.rand(3, 8, 8)}, "must agree in B"),
        ({"maps": torch.rand(1, 0, 4, 4)}, "must agree in B"),
    ],
)
def test_wrong_input_is_named(change, said):
    arguments = {"maps": torch.rand(1, 2, 4, 4), "guide": torch.rand(1, 3, 8, 8), **change}
    with pytest.raises(ValueError, match=said):
        joint_bilateral_upsample(arguments.pop("maps"), arguments.pop("guide"), **arguments)
