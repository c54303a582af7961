"""Tokens that few channels dominate, and what becomes of them, against loops."""

import pytest
import torch

from mmseg_tfovss.ops.distractors import blend_with_box, find_distractors, redistribute_attention, replace_channels

GRID = (3, 4)


def random_patches(batch=2, grid=GRID, channels=6, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(batch, grid[0] * grid[1], channels, generator=draw, dtype=torch.float64)


def random_mask(*shape, seed=1):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.4


def neighbours(index, grid):
    """Patches of the 3x3 window around one that lie in the image, itself included."""
    row, column = divmod(index, grid[1])
    return [
        r * grid[1] + c
        for r in range(max(row - 1, 0), min(row + 2, grid[0]))
        for c in range(max(column - 1, 0), min(column + 2, grid[1]))
    ]


def test_distractors_by_hand():
    patches = torch.tensor([[[1.0, 1, 1, 1], [0, 0, 8, 0], [8, 0, 0, 0], [-4, 0, 4, 0]]])
    # Shares of channel 2: 1/4 (0/0 once shifted), 1, 0; the last token is (0, 4, 8, 4) / 16 shifted, 4/0 as it is.
    assert find_distractors(patches, [2], 1.9, shifted=True).tolist() == [[False, True, False, True]]
    assert find_distractors(patches, [2], 2.1, shifted=True).tolist() == [[False, True, False, False]]
    assert find_distractors(patches, [0, 2], 1.9, shifted=True).tolist() == [[False, True, True, True]]
    assert find_distractors(patches, [2], 0.9, shifted=False).tolist() == [[True, True, False, True]]


def test_a_shift_of_all_channels_changes_shifted_tokens_only():
    patches = random_patches()
    for shifted in (True, False):
        moved, found = (find_distractors(x, [1, 4], 2.0, shifted=shifted) for x in (patches + 3, patches))
        assert torch.equal(moved, found) == shifted
        assert found.any()


def test_the_box_includes_the_token_and_zeros_beyond_the_border():
    patches, which = random_patches(), random_mask(2, 12)
    expected = patches.clone()
    for image, index in which.nonzero().tolist():
        box = sum(patches[image, other] for other in neighbours(index, GRID)) / 9
        expected[image, index] = 0.7 * patches[image, index] + 0.3 * box
    torch.testing.assert_close(blend_with_box(patches, which, GRID, 0.3), expected)
    assert torch.equal(blend_with_box(patches, which & False, GRID, 0.3), patches)


@pytest.mark.parametrize("grid", [GRID, (1, 5)])
def test_channels_become_the_mean_of_the_neighbours_in_the_image(grid):
    patches, which = random_patches(grid=grid), random_mask(2, grid[0] * grid[1])
    expected = patches.clone()
    for image, index in which.nonzero().tolist():
        others = [other for other in neighbours(index, grid) if other != index]
        expected[image, index, [1, 4]] = patches[image, others][:, [1, 4]].mean(dim=0)
    torch.testing.assert_close(replace_channels(patches, which, grid, [1, 4]), expected)


def test_a_single_patch_keeps_its_channels():
    patches = random_patches(grid=(1, 1))
    assert torch.equal(replace_channels(patches, torch.ones(2, 1, dtype=torch.bool), (1, 1), [0]), patches)


def test_redistributed_attention_equals_a_loop():
    attention = random_patches(2, (2, 3), 6).view(2, 1, 6, 6).repeat(1, 2, 1, 1).softmax(dim=-1)
    sources = torch.tensor([[0, 1, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0]], dtype=torch.bool)
    targets = torch.tensor([[0, 0, 1, 0, 0, 1], [0, 0, 0, 0, 0, 0]], dtype=torch.bool)
    expected = attention.clone()
    for row in range(6):
        old = attention[0, 0, row]
        removed = 0.7 * (old[1] + old[3])
        for source in (1, 3):
            expected[0, :, row, source] = 0.3 * old[source]
        for target in (2, 5):
            expected[0, :, row, target] = old[target] + removed * old[target] / (old[2] + old[5])
    found = redistribute_attention(attention, sources, targets, 0.7)
    torch.testing.assert_close(found, expected)  # the second image has nowhere to give it
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(2, 2, 6, dtype=torch.float64))
