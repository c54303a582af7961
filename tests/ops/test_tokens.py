"""Sparse tokens, their replacement from neighbours, and mixing alike tokens, against loops and hand-made values."""

import math

import pytest
import torch

from mmseg_tfovss.ops.tokens import bring_to_grid, cosines, hoyer, refine, replace_abnormal
from mmseg_tfovss.ops.windows import interpolation_matrix


def random_tokens(batch, grid, channels=5, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(batch, grid[0] * grid[1], channels, generator=draw, dtype=torch.float64)


def random_mask(batch, grid, share, seed=1):
    return torch.rand(batch, grid[0] * grid[1], generator=torch.Generator().manual_seed(seed)) < share


# -- Hoyer ----------------------------------------------------------------------------------------------------------


def test_hoyer_by_hand():
    tokens = torch.tensor([[1.0, 1, 1, 1], [0, 0, -3, 0], [3, 4, 0, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(hoyer(tokens), torch.tensor([0.0, 1.0, 2 - 7 / 5, 0.0]))


def test_hoyer_never_exceeds_one():
    """So that a threshold of one is never passed, whatever the rounding."""
    values = torch.rand(4096, generator=torch.Generator().manual_seed(0)) * 10
    tokens = torch.zeros(4096, 7)
    tokens[:, 3] = values
    assert hoyer(tokens).max() <= 1
    assert hoyer(tokens[:, :2] * 0 + values[:, None]).min() >= 0


def test_hoyer_ignores_scale_and_keeps_leading_axes():
    tokens = random_tokens(3, (2, 4)).unflatten(0, (1, 3))
    assert hoyer(tokens).shape == (1, 3, 8)
    torch.testing.assert_close(hoyer(tokens * -7), hoyer(tokens))


# -- replacement ----------------------------------------------------------------------------------------------------


def replace_by_loop(tokens, abnormal, grid, sigma):
    """Token by token, the window grown one ring at a time."""
    height, width = grid
    found = tokens.clone()
    for image, mask in enumerate(abnormal):
        if mask.all():
            continue
        for i in mask.nonzero()[:, 0].tolist():
            row, column = divmod(i, width)
            total, weight, radius = 0.0, 0.0, 0
            while not weight:
                radius += 1
                for r in range(max(row - radius, 0), min(row + radius, height - 1) + 1):
                    for c in range(max(column - radius, 0), min(column + radius, width - 1) + 1):
                        if not mask[r * width + c]:
                            w = math.exp(-((r - row) ** 2 + (c - column) ** 2) / (2 * sigma**2))
                            total, weight = total + w * tokens[image, r * width + c], weight + w
            found[image, i] = total / weight
    return found


@pytest.mark.parametrize("grid", [(4, 4), (3, 7), (1, 6), (5, 2), (1, 1)])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_replacement_equals_a_loop_over_tokens(grid, share):
    tokens, abnormal = random_tokens(3, grid), random_mask(3, grid, share)
    expected = replace_by_loop(tokens, abnormal, grid, 0.8)
    found = replace_abnormal(tokens, abnormal, grid, sigma=0.8)
    torch.testing.assert_close(found, expected)
    assert torch.equal(found[~abnormal], tokens[~abnormal])


def test_replacement_without_growing_is_a_mean_of_the_normal_neighbours():
    """An abnormal token that has none stays what it was; on the left of the 3x5 grid nothing is normal."""
    tokens, abnormal = random_tokens(2, (3, 5)), torch.zeros(2, 3, 5, dtype=torch.bool)
    abnormal[0, :, :3] = abnormal[1, 0, 4] = True
    found = replace_abnormal(tokens, abnormal.flatten(1), (3, 5), math.inf, grow=False).unflatten(1, (3, 5))
    tokens = tokens.unflatten(1, (3, 5))
    assert torch.equal(found[0, :, :2], tokens[0, :, :2])
    torch.testing.assert_close(found[0, 1, 2], tokens[0, :, 3].mean(dim=0))
    torch.testing.assert_close(found[0, 0, 2], tokens[0, :2, 3].mean(dim=0))
    torch.testing.assert_close(found[1, 0, 4], (tokens[1, 0, 3] + tokens[1, 1, 3] + tokens[1, 1, 4]) / 3)
    assert torch.equal(found[~abnormal], tokens[~abnormal])
    alone, everything = random_tokens(1, (1, 1)), torch.ones(1, 1, dtype=torch.bool)
    assert torch.equal(replace_abnormal(alone, everything, (1, 1), math.inf, grow=False), alone)


def test_replacement_in_a_corner_by_hand():
    """Beside the corner of a 2x2 grid lie two patches at distance 1, and one at sqrt(2)."""
    tokens = torch.tensor([[[100.0], [1.0], [2.0], [4.0]]])
    near, far = math.exp(-0.5), math.exp(-1)
    expected = (1 * near + 2 * near + 4 * far) / (2 * near + far)
    found = replace_abnormal(tokens, torch.tensor([[True, False, False, False]]), (2, 2))
    torch.testing.assert_close(found[0, :, 0], torch.tensor([expected, 1.0, 2.0, 4.0]))


def test_abnormal_tokens_are_no_source():
    tokens = torch.full((1, 9, 2), 3.0)
    tokens[0, [4, 5]] = torch.tensor([1e6, -1e6])
    abnormal = torch.zeros(1, 9, dtype=torch.bool)
    abnormal[0, [4, 5]] = True
    torch.testing.assert_close(replace_abnormal(tokens, abnormal, (3, 3)), torch.full((1, 9, 2), 3.0))


def test_the_window_grows_no_further_than_to_the_first_normal_token():
    """With a narrow Gaussian the weights of far tokens underflow; their mean is one of tokens all the same."""
    tokens = torch.arange(60.0).view(1, 60, 1)
    abnormal = torch.ones(1, 60, dtype=torch.bool)
    abnormal[0, [0, 59]] = False
    found = replace_abnormal(tokens, abnormal, (1, 60), sigma=0.3)[0, :, 0]
    assert found[:30].tolist() == [0] * 30
    assert found[30:].tolist() == [59] * 30


def test_images_without_a_normal_token_stay_and_do_not_touch_others():
    tokens, abnormal = random_tokens(2, (3, 4)), random_mask(2, (3, 4), 0.3)
    abnormal[0] = True
    found = replace_abnormal(tokens, abnormal, (3, 4))
    assert torch.equal(found[0], tokens[0])
    torch.testing.assert_close(found[1:], replace_abnormal(tokens[1:], abnormal[1:], (3, 4)))


def test_without_abnormal_tokens_nothing_changes():
    tokens = random_tokens(2, (3, 4)).float()
    assert torch.equal(replace_abnormal(tokens, random_mask(2, (3, 4), 0), (3, 4)), tokens)


# -- mixing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalisation", ["row", "column"])
def test_refinement_equals_a_loop(normalisation):
    tokens, source = random_tokens(2, (2, 3)), random_tokens(2, (2, 3), channels=3, seed=4)
    expected = torch.zeros_like(tokens)
    for image in range(2):
        weights = torch.zeros(6, 6, dtype=torch.float64)
        for i in range(6):
            for j in range(6):
                cosine = source[image, i] @ source[image, j] / (source[image, i].norm() * source[image, j].norm())
                weights[i, j] = cosine if cosine >= 0.4 else 0
        assert 6 < (weights > 0).sum() < 36
        weights = weights / weights.sum(1 if normalisation == "row" else 0, keepdim=normalisation == "row")
        expected[image] = weights @ tokens[image]
    torch.testing.assert_close(refine(tokens, source, 0.4, normalisation), expected)


@pytest.mark.parametrize(("normalisation", "axis"), [("row", 2), ("column", 1)])
@pytest.mark.parametrize("beta", [0, 0.4, 1])
def test_weights_sum_to_one(normalisation, axis, beta):
    """Refining the identity gives the weights; a source of zeros is alone."""
    source = random_tokens(2, (3, 4), channels=3).float()
    source[0, 5] = 0
    weights = refine(torch.eye(12).expand(2, -1, -1), source, beta, normalisation)
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(axis), torch.ones(2, 12))
    assert torch.equal(weights[0, 5], torch.eye(12)[5])


def test_alike_tokens_become_one_and_unlike_ones_stay():
    tokens = torch.tensor([[[1.0], [3.0], [10.0]]])
    source = torch.tensor([[[2.0, 0.0], [5.0, 0.0], [0.0, 1.0]]])
    torch.testing.assert_close(refine(tokens, source, 0.4), torch.tensor([[[2.0], [2.0], [10.0]]]))


def test_unknown_normalisation_is_named():
    with pytest.raises(ValueError, match="normalisation must be one of"):
        refine(torch.ones(1, 2, 2), torch.ones(1, 2, 2), 0.4, "both")


def test_cosines_pair_by_pair():
    tokens = random_tokens(2, (1, 6))
    tokens[1, 2] = 0
    expected = torch.nn.functional.cosine_similarity(tokens[:, :, None], tokens[:, None], dim=-1)
    torch.testing.assert_close(cosines(tokens), expected)
    assert not cosines(tokens)[1, 2].any()


@pytest.mark.parametrize(("source", "target"), [((2, 3), (4, 9)), ((4, 5), (3, 2)), ((3, 3), (3, 3)), ((1, 2), (2, 2))])
def test_bringing_to_a_grid_is_bilinear_on_both_axes(source, target):
    tokens = random_tokens(2, source)
    weights = [interpolation_matrix(source[axis], target[axis]) for axis in (0, 1)]
    expected = torch.einsum("ab,cd,nbdk->nack", *weights, tokens.double().unflatten(1, source)).flatten(1, 2)
    torch.testing.assert_close(bring_to_grid(tokens, source, target).double(), expected)
