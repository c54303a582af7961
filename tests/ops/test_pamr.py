"""PAMR, against loops over pixels."""

import numpy as np
import pytest
import torch

from mmseg_tfovss.ops.pamr import pamr, pamr_affinity

HEIGHT, WIDTH = 7, 6


def random_image(seed=0):
    return torch.randn(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))


def neighbours(y, x, dilations):
    """The 8 neighbours of every dilation, borders replicated; row by row."""
    for dilation in dilations:
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                if (dy, dx) != (0, 0):
                    yield (
                        min(max(y + dy * dilation, 0), HEIGHT - 1),
                        min(max(x + dx * dilation, 0), WIDTH - 1),
                    )


def affinity_by_hand(image, dilations):
    image = image.double().numpy()
    found = np.zeros((8 * len(dilations), HEIGHT, WIDTH))
    for y in range(HEIGHT):
        for x in range(WIDTH):
            around = np.array([image[:, v, u] for v, u in neighbours(y, x, dilations)])
            centre = image[:, y, x]
            sigma = np.concatenate([around, np.repeat(centre[None], len(dilations), axis=0)]).std(axis=0, ddof=1)
            kernel = np.exp((-np.abs(around - centre) / (1e-8 + 0.1 * sigma)).mean(axis=1))
            found[:, y, x] = kernel / kernel.sum()
    return found


def refine_by_hand(masks, affinity, dilations, steps):
    masks = masks.double().numpy()
    for _ in range(steps):
        refined = np.zeros_like(masks)
        for y in range(HEIGHT):
            for x in range(WIDTH):
                for weight, (v, u) in zip(affinity[:, y, x], neighbours(y, x, dilations), strict=True):
                    refined[:, y, x] += weight * masks[:, v, u]
        masks = refined
    return masks


@pytest.mark.parametrize("dilations", [(1,), (1, 2), (8, 16), (4, 1, 2)])
@pytest.mark.parametrize("steps", [1, 3])
def test_equals_loops_over_pixels(dilations, steps):
    image = random_image()
    affinity = pamr_affinity(image, dilations)
    by_hand = affinity_by_hand(image, dilations)
    np.testing.assert_allclose(affinity.numpy(), by_hand, atol=1e-5, rtol=0)
    masks = torch.randn(4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    found = pamr(masks, affinity, dilations, steps)
    np.testing.assert_allclose(found.numpy(), refine_by_hand(masks, by_hand, dilations, steps), atol=1e-5, rtol=0)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_affinity_is_a_distribution_over_neighbours(offset):
    """Bright images cancel badly where the variance is a difference of squares."""
    affinity = pamr_affinity(random_image() + offset, (1, 2))
    assert affinity.min() >= 0
    torch.testing.assert_close(affinity.sum(0), torch.ones(HEIGHT, WIDTH))
    np.testing.assert_allclose(affinity.numpy(), affinity_by_hand(random_image() + offset, (1, 2)), atol=2e-3)


def test_flat_image_weighs_all_neighbours_equally():
    affinity = pamr_affinity(torch.full((3, HEIGHT, WIDTH), 0.3), (1, 2))
    torch.testing.assert_close(affinity, torch.full((16, HEIGHT, WIDTH), 1 / 16))


def test_constant_mask_stays_constant():
    masks = torch.tensor([0.25, -3.0]).view(2, 1, 1).expand(2, HEIGHT, WIDTH)
    found = pamr(masks, pamr_affinity(random_image(), (1, 2)), (1, 2), 10)
    torch.testing.assert_close(found, masks, atol=1e-5, rtol=0)


def test_no_steps_returns_the_masks_and_steps_leave_the_input_alone():
    masks = torch.randn(2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    before, affinity = masks.clone(), pamr_affinity(random_image(), (1,))
    assert torch.equal(pamr(masks, affinity, (1,), 0), before)
    assert not torch.equal(pamr(masks, affinity, (1,), 1), before)
    assert torch.equal(masks, before)


def test_masks_do_not_mix_across_an_edge():
    """Left half black, right half white: after refinement each half keeps its own label."""
    image = torch.zeros(3, HEIGHT, WIDTH)
    image[:, :, 3:] = 1
    masks = (image[:1] > 0).float()
    masks[0, 3, 1] = 1  # a wrong pixel inside the black half
    found = pamr(masks, pamr_affinity(image, (1,)), (1,), 5)[0]
    assert found[:, :3].max() < 0.5
    assert found[:, 3:].min() > 0.5
