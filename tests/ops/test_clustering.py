"""Clusters, prototypes, region maps and votes against loops and scipy."""

import numpy as np
import pytest
import scipy.ndimage
import torch
import torch.nn.functional as F

from mmseg_tfovss.ops import clustering
from mmseg_tfovss.ops.windows import DenseLogits, interpolation_matrix


def test_dbscan_finds_groups_and_noise():
    rows = np.array([[0, 0], [0.1, 0], [0, 0.1], [9, 9], [5, 5], [5, 5.1], [5.1, 5]], np.float32)
    assert clustering.cluster_rows(rows, 0.5, 3).tolist() == [0, 0, 0, -1, 1, 1, 1]
    assert clustering.cluster_rows(rows, 0.5, 1).tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert clustering.cluster_rows(rows, 0.5, 4).tolist() == [-1] * 7
    assert clustering.cluster_rows(rows[:0], 0.5, 1).tolist() == []


def test_prototypes_are_means_without_noise():
    rows = torch.tensor([[1.0, 0], [3, 2], [100, 100], [5, 5]])
    found = clustering.prototypes(rows, torch.tensor([0, 0, -1, 1]))
    assert found.tolist() == [[2, 1], [5, 5]]
    assert clustering.prototypes(rows, torch.full((4,), -1)).shape == (0, 2)


@pytest.mark.parametrize("shape", [(1, 9, 9), (3, 12, 20), (2, 5, 4), (1, 2, 3), (1, 1, 1)])
def test_median_filter_is_scipys(shape):
    maps = np.random.default_rng(0).random(shape, dtype=np.float32)
    expected = scipy.ndimage.median_filter(maps, size=(1, 7, 7))
    assert np.array_equal(clustering.median_filter(torch.from_numpy(maps), 7).numpy(), expected)


def test_smoothing_few_maps_at_a_time_changes_nothing(monkeypatch):
    maps = torch.rand(5, 4, 6, generator=torch.Generator().manual_seed(0))
    together = clustering.smooth(maps, 4, 7)
    assert together.shape == (5, 16, 24)
    monkeypatch.setattr(clustering, "_MEDIAN_ELEMENTS", 2 * 16 * 24 * 49)
    assert torch.equal(clustering.smooth(maps, 4, 7), together)


def test_region_map_is_the_written_out_chain():
    maps = torch.rand(3, 5, 6, generator=torch.Generator().manual_seed(0))
    larger = F.interpolate(maps[None], scale_factor=4, mode="bilinear")[0].numpy()
    smoothed = np.stack([scipy.ndimage.median_filter(one, size=7) for one in larger])
    expected = F.interpolate(torch.from_numpy(smoothed)[None], size=(41, 50), mode="bilinear")[0].argmax(dim=0)
    found = clustering.region_map(maps, (41, 50), 4, 7)
    assert (found == expected).float().mean() > 0.999
    assert len(found.unique()) == 3


def test_one_map_is_one_region():
    assert clustering.region_map(torch.rand(1, 3, 3), (7, 8), 4, 7).unique().tolist() == [0]


def test_majority_wins_and_the_smallest_id_among_equals():
    labels = torch.tensor([[2, 2, 1, 3], [2, 0, 3, 1]])
    regions = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1]])
    assert clustering.majority(labels, regions, 4).tolist() == [[2, 2, 1, 1], [2, 2, 1, 1]]


def test_majority_copes_with_a_region_that_is_not_there():
    labels, regions = torch.tensor([[1, 1]]), torch.tensor([[2, 0]])
    assert clustering.majority(labels, regions, 2).tolist() == [[1, 1]]


def test_region_logits_are_means_over_pixels():
    draw = torch.Generator().manual_seed(0)
    rows, columns = interpolation_matrix(3, 10).float(), interpolation_matrix(4, 11).float()
    logits = DenseLogits(torch.randn(5, 3, 4, generator=draw), rows, columns, torch.zeros(3, 3, 4))
    regions = torch.randint(3, (10, 11), generator=draw)
    dense = logits.dense()
    expected = torch.stack([dense[:, regions == region].mean(dim=1) for region in range(3)], dim=1)
    torch.testing.assert_close(clustering.region_logits(logits, regions), expected)
