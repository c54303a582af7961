"""Clusters of texts, their adjustment and the presence prior, by hand and against loops."""

import math

import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.ops import presence as presence_module
from mmseg_tfovss.ops.presence import adjust_texts, cluster_texts, mix_presence, most_present


def at_angles(*degrees):
    """Unit vectors in the plane."""
    angles = torch.tensor([math.radians(angle) for angle in degrees])
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def random_units(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=draw, dtype=torch.float64), dim=-1)


def groups(ids):
    """Sets of members, whatever the numbers of the clusters."""
    return {frozenset((ids == one).nonzero()[:, 0].tolist()) for one in ids.unique()}


def distance(degrees):
    return 1 - math.cos(math.radians(degrees))


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(8, {(0,), (1,), (2,), (3,)}), (12, {(0, 3), (1,), (2,)}), (21, {(0, 1, 3), (2,)}), (91, {(0, 1, 2, 3)})],
)
def test_complete_linkage_joins_at_the_largest_distance(degrees, expected):
    """Chained at 0, 9 and 20 degrees: the ends are 20 apart, and another text is far away."""
    found = groups(cluster_texts(at_angles(0, 20, 90, 9), distance(degrees), "complete"))
    assert found == {frozenset(one) for one in expected}


def test_ward_joins_pairs_higher_up():
    """Two pairs of texts: Ward's height of their union is sqrt(sum) of the distances, not the largest of them."""
    texts = at_angles(0, 4, 30, 34)
    a, b, c, d = (distance(angle) for angle in (4, 30, 34, 26))  # in the pairs, and across them
    # Lance-Williams on the distances as they are, first a pair and a single text, then the two pairs.
    half = [math.sqrt((2 * one**2 + 2 * two**2 - a**2) / 3) for one, two in ((b, d), (c, b))]
    union = math.sqrt((3 * half[0] ** 2 + 3 * half[1] ** 2 - 2 * a**2) / 4)
    assert union > c > a
    for height, count in ((a * 1.01, 2), (c * 1.01, 2), (union * 0.99, 2), (union * 1.01, 1)):
        assert len(groups(cluster_texts(texts, height, "ward"))) == count, height
    assert len(groups(cluster_texts(texts, c * 1.01, "complete"))) == 1


def test_clusters_are_numbered_from_zero_and_survive_single_and_equal_texts():
    assert cluster_texts(at_angles(10), 0.1, "complete").tolist() == [0]
    ids = cluster_texts(at_angles(0, 90, 0, 180), 0.0, "complete")
    assert groups(ids) == {frozenset({0, 2}), frozenset({1}), frozenset({3})}
    assert sorted(ids.unique().tolist()) == [0, 1, 2]


def test_the_most_present_of_each_cluster_is_chosen_the_first_of_equals():
    clusters = torch.tensor([2, 0, 0, 1, 2])
    presence = torch.tensor([[0.1, 0.3, 0.2, 0.0, 0.9], [0.5, -0.2, -0.1, 0.0, 0.5]])
    assert most_present(presence, clusters).tolist() == [[1, 3, 4], [2, 3, 0]]


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_adjusted_texts_equal_a_loop(alpha):
    texts, patches = random_units(6, 5), random_units(2, 7, 5, seed=1)
    presence = random_units(2, 6, seed=2)
    clusters = torch.tensor([0, 1, 1, 2, 0, 1])
    expected = texts.repeat(2, 1, 1)
    for image in range(2):
        for cluster in range(3):
            members = [query for query in range(6) if clusters[query] == cluster]
            chosen = max(members, key=lambda query: presence[image, query])
            similarity = patches[image] @ texts[chosen]
            first, second = sorted(range(7), key=lambda patch: -similarity[patch])[:2]
            mean = F.normalize((patches[image, first] + patches[image, second]) / 2, dim=0)
            expected[image, chosen] = F.normalize((1 - alpha) * texts[chosen] + alpha * mean, dim=0)
    torch.testing.assert_close(adjust_texts(texts, patches, presence, clusters, alpha), expected)


def test_a_window_of_one_patch_has_one_to_move_to():
    texts, patches = at_angles(0, 90), at_angles(30)[None]
    found = adjust_texts(texts, patches, torch.tensor([[0.2, 0.1]]), torch.tensor([0, 0]), 1.0)
    torch.testing.assert_close(found, torch.stack([patches[0, 0], texts[1]])[None])


def test_the_prior_is_the_same_at_every_patch():
    logits, presence = torch.rand(2, 3, 4, 5), torch.rand(2, 3)
    found = mix_presence(logits, presence, 0.25)
    torch.testing.assert_close(found[1, 2, 3, 4], 0.75 * logits[1, 2, 3, 4] + 0.25 * presence[1, 2])
    assert torch.equal(mix_presence(logits, presence, 0.0), logits)
    assert (mix_presence(logits, presence, 1.0) == presence[..., None, None]).all()


@pytest.mark.parametrize("method", presence_module.LINKAGES)
def test_many_texts_are_compared_and_moved_some_at_a_time(method, monkeypatch):
    draw = torch.Generator().manual_seed(0)
    texts, patches = (torch.nn.functional.normalize(torch.randn(n, 6, generator=draw), dim=-1) for n in (9, 2 * 5))
    patches, presence = patches.unflatten(0, (2, 5)), torch.rand(2, 9, generator=draw)

    def answer():
        clusters = presence_module.cluster_texts(texts, 0.6, method)
        return clusters, presence_module.adjust_texts(texts, patches, presence, clusters, 0.3)

    together = answer()
    assert 1 < len(together[0].unique()) < 9
    monkeypatch.setattr(presence_module, "_ELEMENTS", 1)
    for found, expected in zip(answer(), together, strict=True):
        torch.testing.assert_close(found, expected)
