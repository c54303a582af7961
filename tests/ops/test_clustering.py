"""Clusters, prototypes, region maps and votes against loops and scipy."""

import numpy as np
import pytest
import scipy.ndimage
import torch
import torch.nn.functional as F

from mmseg_tfovss.ops import clustering
from mmseg_tfovss.ops.canvas import PatchCanvas
from mmseg_tfovss.ops.windows import interpolation_matrix


def dbscan(rows, *options, chosen=None):
    rows = torch.tensor(rows, dtype=torch.float32)
    chosen = torch.ones(len(rows), dtype=torch.bool) if chosen is None else torch.tensor(chosen)
    return clustering.cluster_rows(rows, chosen, *options).tolist()


def test_dbscan_finds_groups_and_noise():
    rows = [[0, 0], [0.1, 0], [0, 0.1], [9, 9], [5, 5], [5, 5.1], [5.1, 5]]
    assert dbscan(rows, 0.5, 3) == [0, 0, 0, -1, 1, 1, 1]
    assert dbscan(rows, 0.5, 1) == [0, 0, 0, 1, 2, 2, 2]
    assert dbscan(rows, 0.5, 4) == [-1] * 7


def test_rows_that_are_not_chosen_are_noise():
    rows = [[0, 0], [0, 0], [5, 5], [0, 0]]
    assert dbscan(rows, 0.5, 1, chosen=[False, True, True, True]) == [-1, 0, 1, 0]
    assert dbscan(rows, 0.5, 3, chosen=[False, True, True, True]) == [-1] * 4
    assert dbscan(rows, 0.5, 1, chosen=[False] * 4) == [-1] * 4


def test_prototypes_are_means_without_noise():
    rows = torch.tensor([[1.0, 0], [3, 2], [100, 100], [5, 5]])
    found = clustering.prototypes(rows, torch.tensor([0, 0, -1, 1]))
    assert found.tolist() == [[2, 1], [5, 5]]
    assert clustering.prototypes(rows, torch.full((4,), -1)).shape == (0, 2)


@pytest.mark.parametrize("shape", [(1, 9, 9), (3, 12, 20), (2, 5, 4), (1, 2, 3), (1, 1, 1)])
def test_median_filter_is_scipys(shape):
    maps = np.random.default_rng(0).random(shape, dtype=np.float32)
    where = np.random.default_rng(1).random(shape) < 0.7
    expected = scipy.ndimage.median_filter(maps, size=(1, 7, 7))
    found = clustering.median_filter(torch.from_numpy(maps), 7, torch.from_numpy(where))
    assert np.array_equal(found.numpy(), expected[where])


def hills(count, grid, sharpness):
    """Maps with one hill each, under some noise: the sharper, the fewer places where a median decides."""
    draw = torch.Generator().manual_seed(count)
    centres = torch.rand(count, 2, 1, 1, generator=draw)
    rows, columns = torch.meshgrid(*(torch.linspace(0, 1, size) for size in grid), indexing="ij")
    distance = (rows - centres[:, 0]).square() + (columns - centres[:, 1]).square()
    return (-sharpness * distance).exp() + 0.05 * torch.rand(count, *grid, generator=draw)


def filtered(maps):
    return torch.from_numpy(scipy.ndimage.median_filter(maps.numpy(), size=(1, 7, 7)))


@pytest.mark.parametrize("sharpness", [0, 1, 5, 30])
@pytest.mark.parametrize("grid", [(20, 28), (4, 24), (60, 8)])
@pytest.mark.parametrize("count", [1, 2, 9, 40])
def test_winning_medians_are_exact_where_they_matter(count, grid, sharpness):
    """Bounds elsewhere; the highest map is the same, at every pixel and between pixels."""
    maps = hills(count, grid, sharpness)
    exact, found = filtered(maps), clustering.winning_medians(maps, 7)
    assert bool((found <= exact).all())
    assert torch.equal(found.argmax(dim=0), exact.argmax(dim=0))
    for size in ((83, 97), (240, 112), (13, 11)):
        larger = (F.interpolate(one[None], size=size, mode="bilinear")[0] for one in (found, exact))
        assert torch.equal(*(one.argmax(dim=0) for one in larger))


def test_winning_medians_are_few(monkeypatch):
    """That is their point; and a single map needs none."""
    asked, inner = [], clustering.median_filter
    monkeypatch.setattr(clustering, "median_filter", lambda *args: asked.append(int(args[2].sum())) or inner(*args))
    clustering.winning_medians(hills(9, (84, 84), 30), 7)
    assert 0 < sum(asked) < 0.3 * 9 * 84 * 84
    asked.clear()
    clustering.winning_medians(hills(1, (84, 84), 30), 7)
    assert sum(asked) == 0


@pytest.mark.parametrize("size", [(41, 50), (96, 12)])
def test_region_map_is_the_written_out_chain(size):
    maps = torch.rand(3, 5, 6, generator=torch.Generator().manual_seed(0))
    larger = F.interpolate(maps[None], scale_factor=4, mode="bilinear")[0]
    expected = F.interpolate(filtered(larger)[None], size=size, mode="bilinear")[0].argmax(dim=0)
    found = clustering.region_map(maps, size, 4, 7)
    assert torch.equal(found, expected)
    assert len(found.unique()) == 3


def test_few_maps_at_a_time_change_nothing(monkeypatch):
    maps = hills(7, (5, 6), 3)
    together = clustering.region_map(maps, (41, 50), 4, 7)
    assert len(together.unique()) > 3
    monkeypatch.setattr(clustering, "_ELEMENTS", 1)
    assert torch.equal(clustering.region_map(maps, (41, 50), 4, 7), together)


def test_one_map_is_one_region():
    assert clustering.region_map(torch.rand(1, 3, 3), (7, 8), 4, 7).unique().tolist() == [0]


def test_region_logits_are_means_over_pixels():
    draw = torch.Generator().manual_seed(0)
    rows, columns = interpolation_matrix(3, 10).float(), interpolation_matrix(4, 11).float()
    logits = PatchCanvas(torch.randn(5, 3, 4, generator=draw), rows, columns)
    regions = torch.randint(3, (10, 11), generator=draw)
    dense = logits.dense()
    expected = torch.stack([dense[:, regions == region].mean(dim=1) for region in range(3)], dim=1)
    found = clustering.region_logits(logits, regions)
    assert found.shape == (5, 3)
    torch.testing.assert_close(found, expected)


def test_region_canvas_gives_every_pixel_its_regions_means(monkeypatch):
    """In blocks of rows, and the same whoever asks."""
    draw = torch.Generator().manual_seed(0)
    rows, columns = interpolation_matrix(3, 10).float(), interpolation_matrix(4, 11).float()
    logits = PatchCanvas(torch.randn(5, 3, 4, generator=draw), rows, columns)
    regions = torch.randint(3, (10, 11), generator=draw)
    monkeypatch.setattr(clustering, "BLOCK_ELEMENTS", 4 * 5 * 11)
    found = clustering.RegionCanvas(logits, regions)
    assert (found.size, found.channels, found.device) == ((10, 11), 5, regions.device)
    assert [block.shape for _, _, block in found.blocks()] == [(4, 5, 11), (4, 5, 11), (2, 5, 11)]
    before, after = logits.dense(), found.dense()
    for y in range(10):
        for x in range(11):
            expected = before[:, regions == regions[y, x]].mean(dim=1)
            torch.testing.assert_close(after[:, y, x], expected, atol=1e-6, rtol=0)
    assert torch.equal(found.some(slice(1, 3)), after[1:3])


def test_patches_of_a_prototypes_region_share_their_mean():
    """Rows of two groups and an outlier, which is noise but more like the second group."""
    rows = torch.tensor([[1.0, 0.9, 0, 0.1], [0.9, 1, 0.1, 0.2], [0, 0.1, 1, 0.8], [0.1, 0.2, 0.9, 1]])
    logits = torch.tensor([[[1.0, 3], [10, 20]]])
    shared = clustering.share_logits(logits, rows, torch.tensor([0, 0, 1, -1]))
    assert shared.tolist() == [[[2, 2], [15, 15]]]
    assert torch.equal(clustering.share_logits(logits, rows, torch.full((4,), -1)), logits)


@pytest.mark.parametrize(("eps", "samples"), [(0, 1), (-1.0, 1), ("a", 1), (1.0, 0), (1.0, 1.5)])
def test_options_of_dbscan_are_checked(eps, samples):
    with pytest.raises(ValueError, match=rf"model\.eps must be a positive number .* but got {eps!r} and {samples!r}"):
        clustering.check_dbscan(eps, samples)
