"""Regions on patches: resampled ids, merged regions, and attention within them."""

import math

import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.ops.scope import attend_in_scope, merge_regions, resize_ids


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double(), dim=-1)


@pytest.mark.parametrize("size", [(4, 9), (15, 3), (7, 11), (1, 1)])
def test_ids_are_resampled_as_torch_does(size):
    ids = torch.randint(0, 300, (2, 7, 11), generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(ids[None].float(), size=size, mode="nearest")[0].long()
    assert torch.equal(resize_ids(ids, size), expected)


def test_ids_beyond_float32_stay_what_they_are():
    ids = torch.tensor([[(1 << 40) + 1, 3]])
    assert resize_ids(ids, (2, 4)).tolist() == [[(1 << 40) + 1] * 2 + [3] * 2] * 2


# -- merging --------------------------------------------------------------------------------------------------------


def features_of(angles):
    """Vectors of length 1 in a plane, one for each patch."""
    return torch.tensor([[math.cos(angle), math.sin(angle)] for angle in angles], dtype=torch.float64)


# cos 0.5 = 0.878, cos 0.8 = 0.697, cos 1.0 = 0.540: regions 0.5 apart are near with eps = 0.2, those 0.8 apart are not.
ANGLES = {5: 0.0, 7: 0.5, 9: 1.0, 40: 2.0}


def test_regions_whose_means_are_alike_are_one():
    """Also those that a third one connects: 5 and 9 by 7."""
    ids = torch.tensor([40, 5, 0, 7, 7, 9, 0, 5])
    angles = [ANGLES.get(one, 0.2) for one in ids.tolist()]
    assert merge_regions(features_of(angles), ids, 0, 0.2).tolist() == [2, 1, 0, 1, 1, 1, 0, 1]
    assert merge_regions(features_of(angles), ids, 0, 0.05).tolist() == [4, 1, 0, 2, 2, 3, 0, 1]
    assert merge_regions(features_of(angles), ids, 5, 0.2).tolist() == [2, 0, 1, 1, 1, 1, 1, 0]


def test_it_is_the_mean_of_a_region_that_counts():
    """Region 2 is 0.5 from region 1, though none of its patches is."""
    ids = torch.tensor([1, 2, 2])
    assert merge_regions(features_of([0.0, -0.2, 1.2]), ids, 0, 0.2).tolist() == [1, 1, 1]
    assert merge_regions(features_of([0.0, 0.8, 1.2]), ids, 0, 0.2).tolist() == [1, 2, 2]


def test_noise_stays_as_it_is():
    ids = torch.tensor([40, 5, 7, 9, 0])
    angles = [2.0, 0.0, 0.1, 4.0, 0.0]
    assert merge_regions(features_of(angles), ids, 0, 0.2, min_samples=2).tolist() == [3, 1, 1, 2, 0]


@pytest.mark.parametrize(
    ("ids", "uncovered", "expected"),
    [
        ([0, 0, 0], 0, [0, 0, 0]),
        ([4, 4, 4], 4, [0, 0, 0]),
        ([4, 4, 4], 0, [1, 1, 1]),
        ([0, 6, 6], 0, [0, 1, 1]),
        ([3, 6, 3], 3, [0, 1, 0]),
    ],
)
def test_few_regions(ids, uncovered, expected):
    assert merge_regions(unit(3, 4), torch.tensor(ids), uncovered, 0.2).tolist() == expected


# -- attention ------------------------------------------------------------------------------------------------------


def test_attention_equals_a_loop():
    features, regions = unit(9, 3), torch.tensor([0, 1, 1, 2, 2, 2, 0, 3, 0])
    similarity = features @ features.T
    mean, expected = float(similarity.mean()), torch.zeros(9, 9, dtype=torch.float64)
    for m, n in torch.cartesian_prod(torch.arange(9), torch.arange(9)).tolist():
        free = 0 in (regions[m], regions[n])
        inside = similarity[m, n] > mean if free else regions[m] == regions[n]
        expected[m, n] = math.exp(4 * similarity[m, n]) if inside else 0
    expected /= expected.sum(dim=1, keepdim=True)
    found = attend_in_scope(similarity, regions, 4.0)
    torch.testing.assert_close(found, expected)
    assert 0.1 < float((found == 0).double().mean()) < 0.9
    torch.testing.assert_close(attend_in_scope(similarity.float(), regions, 4.0).double(), expected)


@pytest.mark.parametrize("number", [0, 1])
def test_a_patch_is_in_its_own_scope_where_all_are_alike(number):
    """Nothing is above the mean then; in a region, all are within."""
    similarity = torch.ones(4, 4)
    found = attend_in_scope(similarity, torch.full((4,), number), 4.0)
    assert torch.equal(found, torch.full((4, 4), 0.25) if number else torch.eye(4))
    assert torch.equal(similarity, torch.ones(4, 4))
