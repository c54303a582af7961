"""Labels, against the field's rule written out pixel by pixel."""

import numpy as np
import pytest
import torch

from mmseg_tfovss.ops import canvas
from mmseg_tfovss.ops import labels as labels_module
from mmseg_tfovss.ops.canvas import ComputedCanvas, PatchCanvas, PixelCanvas
from mmseg_tfovss.ops.labels import NotNumbersError, label_pixels, majority, patch_majority

HEIGHT, WIDTH = 9, 7
# One query per class, synonyms at the start, at the end, and a vocabulary of one class.
VOCABULARIES = [
    (0, 1, 2, 3),
    (0, 0, 0, 1, 2, 2, 3),
    (0, 1, 1, 1, 2, 3, 3, 4),
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11),
    (0, 0, 0),
]


def as_logits(maps):
    """Logits (Q, H, W) as a canvas of patches, without any interpolation."""
    _, height, width = maps.shape
    return PatchCanvas(maps, torch.eye(height), torch.eye(width))


def random_logits(query_class, seed):
    """Cosine-like logits in which some classes are rare."""
    draw = torch.Generator().manual_seed(seed)
    rarity = 0.15 * torch.rand(len(query_class), 1, 1, generator=draw)
    return 0.1 * torch.randn(len(query_class), HEIGHT, WIDTH, generator=draw) - rarity


def label_by_hand(maps, query_class, scale, prob_threshold, area_threshold):
    """Softmax over queries, maximum per class, area rule, argmax, threshold; float64."""
    maps = scale * maps.numpy().astype(np.float64)
    exponentials = np.exp(maps - maps.max(axis=0))
    queries = exponentials / exponentials.sum(axis=0)
    classes = np.zeros((max(query_class) + 1, *maps.shape[1:]))
    for probability, number in zip(queries, query_class, strict=True):
        classes[number] = np.maximum(classes[number], probability)
    if area_threshold:
        areas = [int((classes.argmax(axis=0) == number).sum()) for number in range(len(classes))]
        for number in range(1, len(classes)):
            if not areas[number] > area_threshold * sum(areas[1:]):
                classes[number] = 0
    found = classes.argmax(axis=0)
    found[classes.max(axis=0) < prob_threshold] = 0
    return found


def query_blocks(maps, order=(2, 0, 1)):
    """The same logits in three chunks of queries, each over all rows, in another order."""
    starts = [round(part * len(maps) / 3) for part in range(4)]
    for part in order:
        queries = slice(starts[part], starts[part + 1])
        if queries.start < queries.stop:
            yield slice(0, maps.shape[1]), queries, maps[queries].transpose(0, 1).clone()


def by_queries(maps, *order):
    """The same logits as a canvas of such chunks."""
    return ComputedCanvas(tuple(maps.shape[1:]), len(maps), maps.device, lambda: query_blocks(maps, *order))


@pytest.mark.parametrize("area_threshold", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("prob_threshold", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("query_class", VOCABULARIES, ids=lambda ids: f"{len(ids)}q{max(ids) + 1}c")
def test_labels_follow_the_rule_whatever_the_blocks(query_class, prob_threshold, area_threshold, monkeypatch):
    monkeypatch.setattr(canvas, "BLOCK_ELEMENTS", 3 * WIDTH * len(query_class))
    for seed in range(8):
        maps = random_logits(query_class, seed)
        expected = label_by_hand(maps, query_class, 40.0, prob_threshold, area_threshold)
        rule = {"logit_scale": 40.0, "prob_threshold": prob_threshold, "area_threshold": area_threshold}
        assert len(list(as_logits(maps).blocks())) == 3
        for logits in (as_logits(maps), by_queries(maps), by_queries(maps, (0, 1, 2))):
            found = label_pixels(logits, torch.tensor(query_class), **rule)
            assert found.dtype == torch.int64
            assert found.tolist() == expected.tolist()


def test_the_random_cases_exercise_every_step():
    """Both thresholds matter, and synonyms compete in the softmax."""
    query_class = VOCABULARIES[2]
    maps = random_logits(query_class, 0)
    plain = label_by_hand(maps, query_class, 40.0, 0, 0)
    assert (plain != label_by_hand(maps, query_class, 40.0, 0.6, 0)).any()
    area = label_by_hand(maps, query_class, 40.0, 0, 0.3)
    assert set(np.unique(area)) < set(np.unique(plain))
    assert ((plain != area) & (area > 0)).any()


def test_synonyms_compete_in_the_softmax():
    """Two equal synonyms share 0.9 of the probability: 0.45 each, below the threshold, so the pixel is class 0."""
    maps = torch.log(torch.tensor([0.1, 0.45, 0.45]))[:, None, None]
    rule = {"logit_scale": 1.0}
    query_class = torch.tensor([0, 1, 1])
    assert label_pixels(as_logits(maps), query_class, prob_threshold=0.44, **rule).item() == 1
    assert label_pixels(as_logits(maps), query_class, prob_threshold=0.46, **rule).item() == 0


def test_area_is_a_share_of_the_foreground_and_pixels_fall_to_the_next_class():
    """100 pixels: 80 of class 0, 18 of class 1, 2 of class 2 (10 % of the foreground, 2 % of the image)."""
    maps = torch.zeros(3, 1, 100)
    maps[0, 0, :80], maps[1, 0, 80:98], maps[2, 0, 98:] = 0.5, 0.5, 0.5
    maps[1, 0, 98:] = 0.2
    query_class, logits = torch.arange(3), as_logits(maps)
    kept = label_pixels(logits, query_class, logit_scale=40.0, area_threshold=0.09)
    removed = label_pixels(logits, query_class, logit_scale=40.0, area_threshold=0.1)
    assert torch.bincount(kept[0], minlength=3).tolist() == [80, 18, 2]
    assert torch.bincount(removed[0], minlength=3).tolist() == [80, 20, 0]


def test_area_counts_do_not_overflow_half_precision():
    """The official code loses all foreground when a class covers more than 65504 pixels in float16."""
    maps = torch.zeros(2, 300, 300)
    maps[1] = 0.5
    found = label_pixels(as_logits(maps), torch.tensor([0, 1]), logit_scale=40.0, area_threshold=0.1)
    assert (found == 1).all()


def test_area_without_foreground_leaves_class_zero():
    maps = torch.zeros(3, 4, 5)
    maps[0] = 1.0
    found = label_pixels(as_logits(maps), torch.arange(3), logit_scale=40.0, area_threshold=0.1)
    assert (found == 0).all()


def test_large_scales_do_not_overflow():
    maps = torch.tensor([[[1.0, -1.0]], [[-1.0, 1.0]]])
    found = label_pixels(as_logits(maps), torch.tensor([0, 1]), logit_scale=1e4, prob_threshold=0.99)
    assert found.tolist() == [[0, 1]]


def test_logits_are_not_changed():
    maps = random_logits(VOCABULARIES[1], 0)
    logits = as_logits(maps.clone())
    label_pixels(logits, torch.tensor(VOCABULARIES[1]), logit_scale=40.0, prob_threshold=0.3, area_threshold=0.3)
    assert torch.equal(logits.patches, maps)


@pytest.mark.parametrize("query", range(3))
@pytest.mark.parametrize("prob_threshold", [0.0, 0.5])
@pytest.mark.parametrize("area_threshold", [0.0, 0.3])
def test_a_single_logit_that_is_not_a_number_is_told(query, prob_threshold, area_threshold):
    """It would lose every comparison, or win it: the pixel has no class. Whatever comes before or behind it."""
    maps = random_logits((0, 1, 2), 0)
    maps[query, 4, 5] = torch.nan
    rule = {"logit_scale": 40.0, "prob_threshold": prob_threshold, "area_threshold": area_threshold}
    for logits in (as_logits(maps), by_queries(maps), by_queries(maps, (0, 1, 2))):
        with pytest.raises(NotNumbersError, match=r"^Some refined logits are not numbers \(NaN\)"):
            label_pixels(logits, torch.arange(3), **rule)


def test_majority_wins_and_the_smallest_id_among_equals():
    labels = torch.tensor([[2, 2, 1, 3], [2, 0, 3, 1]])
    regions = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1]])
    assert majority(labels, regions, 4).tolist() == [[2, 2, 1, 1], [2, 2, 1, 1]]


def test_pixels_of_no_region_keep_their_class_and_have_no_vote():
    labels = torch.tensor([[3, 0, 0, 0], [1, 1, 0, 2]])
    regions = torch.tensor([[-1, 0, 0, -1], [0, 0, 0, -1]])
    assert majority(labels, regions, 4).tolist() == [[3, 0, 0, 0], [0, 0, 0, 2]]
    assert majority(labels, torch.full((2, 4), -1), 4).tolist() == labels.tolist()


def test_majority_copes_with_a_region_that_is_not_there():
    labels, regions = torch.tensor([[1, 1]]), torch.tensor([[2, 0]])
    assert majority(labels, regions, 2).tolist() == [[1, 1]]


def test_rejected_queries_count_for_nothing_whatever_the_blocks():
    """-inf, also for all queries of a block, or of a pixel: such a pixel is below every threshold."""
    maps = random_logits((0, 1, 2, 3), 0)
    maps[:2, :, :3] = -torch.inf
    maps[:, 0, 0] = -torch.inf
    blocks = [(slice(0, HEIGHT), slice(q, q + 2), maps[q : q + 2].transpose(0, 1)) for q in (0, 2)]
    canvas = ComputedCanvas((HEIGHT, WIDTH), 4, maps.device, lambda: iter(blocks))
    rule = {"logit_scale": 40.0, "prob_threshold": 0.4}
    found = label_pixels(canvas, torch.arange(4), **rule)
    probabilities, best = (40.0 * maps).softmax(dim=0).max(dim=0)
    expected = torch.where(probabilities.nan_to_num(0) < 0.4, 0, best)
    assert torch.equal(found, expected)
    assert torch.equal(label_pixels(PixelCanvas(maps), torch.arange(4), **rule), expected)
    assert (found[:, :3] != 0).any()


def test_patches_take_the_most_frequent_label_and_the_smallest_among_equals():
    """Patches of 2x2 pixels in 5x4; the last row is in no whole patch."""
    labels = torch.tensor([[3, 3, 0, 2], [3, 1, 2, 0], [1, 0, 4, 4], [2, 3, 4, 4], [5, 5, 5, 5]])
    assert patch_majority(labels, 2, 6).tolist() == [[3, 0], [0, 4]]


def test_patch_majority_is_the_mode():
    labels = torch.randint(4, (26, 37), generator=torch.Generator().manual_seed(0))
    patches = labels[:24, :32].unfold(0, 8, 8).unfold(1, 8, 8).flatten(2)
    assert torch.equal(patch_majority(labels, 8, 4), patches.mode(dim=-1).values)


def test_votes_for_a_large_vocabulary_are_those_of_the_classes_that_are_there(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (16, 24), generator=draw) * 1000
    regions = torch.randint(-1, 5, (16, 24), generator=draw)

    def answer():
        return labels_module.majority(labels, regions, 5000), labels_module.patch_majority(labels, 4, 5000)

    together = answer()
    monkeypatch.setattr(labels_module, "_VOTES", 1)
    for found, expected in zip(answer(), together, strict=True):
        assert torch.equal(found, expected)
