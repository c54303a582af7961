"""Classes of patches, pairs, and their AUC, by hand and by brute force."""

from itertools import combinations

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score

from mmseg_tfovss.studies.discriminability import patch_pairs
from mmseg_tfovss.studies.discriminability.patch_pairs import IGNORED, find_pairs, find_patch_classes, pair_auc


def test_a_patch_has_the_class_of_most_of_its_pixels():
    labels = torch.tensor(
        [
            [0, 0, 2, 2, 9],
            [0, 1, 1, 1, 9],  # the second patch: a tie of 1 and 2
            [255, 255, 255, 255, 9],
            [255, 1, 2, 255, 9],  # most are ignored
            [9, 9, 9, 9, 9],  # beyond the last whole patch
        ]
    )
    assert find_patch_classes(labels, (5, 5), 2, 3).tolist() == [0, 1, IGNORED, IGNORED]
    assert find_patch_classes(labels, (5, 5), 2, 2).tolist() == [0, 1, IGNORED, IGNORED]


def test_a_class_wins_over_as_many_ignored_pixels():
    assert find_patch_classes(torch.tensor([[2, 255], [255, 2]]), (2, 2), 2, 3).tolist() == [2]
    assert find_patch_classes(torch.tensor([[0, 65535], [65535, 65535]]), (2, 2), 2, 459).tolist() == [IGNORED]
    assert find_patch_classes(torch.tensor([[-1, -1], [1, -1]]), (2, 2), 2, 3).tolist() == [IGNORED]


def test_labels_are_resized_to_what_the_network_sees():
    labels = torch.tensor([[0, 1], [2, 3]])
    found = find_patch_classes(labels, (8, 16), 4, 4)
    assert found.view(2, 4).tolist() == [[0, 0, 1, 1], [2, 2, 3, 3]]
    assert find_patch_classes(labels.repeat_interleave(8, 0), (2, 2), 1, 4).tolist() == [0, 1, 2, 3]


def brute_force(features, classes):
    same, cosines = [], []
    for i, j in combinations(range(len(classes)), 2):
        if IGNORED not in (classes[i], classes[j]):
            same.append(bool(classes[i] == classes[j]))
            cosines.append(F.cosine_similarity(features[i].double(), features[j].double(), dim=0).item())
    return roc_auc_score(same, cosines)


@pytest.fixture
def patches():
    draw = torch.Generator().manual_seed(0)
    return torch.randn(4, 30, 8, generator=draw), torch.randint(IGNORED, 3, (30,), generator=draw)


def test_auc_is_that_of_all_pairs_of_labelled_patches(patches, monkeypatch):
    features, classes = patches
    pairs = find_pairs(classes)
    labelled = int((classes != IGNORED).sum())
    assert len(pairs.same) == labelled * (labelled - 1) // 2
    assert (pairs.first < pairs.second).all()
    expected = torch.tensor([brute_force(part, classes) for part in features], dtype=torch.float64)
    torch.testing.assert_close(pair_auc(features, pairs), expected, rtol=0, atol=1e-4)
    monkeypatch.setattr(patch_pairs, "_ELEMENTS", 1)
    torch.testing.assert_close(pair_auc(features, pairs), expected, rtol=0, atol=1e-4)


def test_planted_features():
    classes = torch.arange(40) % 4
    separate = F.one_hot(classes, 4).float()
    alike = torch.ones(40, 4)
    mixed_up = F.one_hot(torch.arange(40) // 10, 4).float()
    found = pair_auc(torch.stack([separate, 7 * separate, alike, mixed_up]), find_pairs(classes))
    assert found[:3].tolist() == [1.0, 1.0, 0.5]
    assert found[3] == pytest.approx(brute_force(mixed_up, classes), abs=1e-9)


def test_sampled_pairs_are_some_of_them_and_follow_the_seed(patches):
    classes = patches[1]
    everything = {
        *zip(*(part.tolist() for part in (find_pairs(classes).first, find_pairs(classes).second)), strict=True)
    }
    one, again, other = (find_pairs(classes, 50, seed) for seed in ((0, 1), (0, 1), (0, 2)))
    chosen = {*zip(one.first.tolist(), one.second.tolist(), strict=True)}
    assert len(chosen) == 50
    assert chosen < everything
    assert torch.equal(one.first, again.first)
    assert not torch.equal(one.first, other.first)
    assert len(find_pairs(classes, 10**6).same) == len(everything)


@pytest.mark.parametrize(
    ("classes", "usable"), [([0, 0, 0], False), ([0, 1, 2], False), ([0, 0, IGNORED], False), ([0, 0, 1], True)]
)
def test_images_without_both_kinds_of_pairs_are_not_usable(classes, usable):
    assert find_pairs(torch.tensor(classes)).usable is usable
    assert not find_pairs(torch.full((4,), IGNORED)).usable
