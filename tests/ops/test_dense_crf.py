"""The CRF against labels of pydensecrf, against mean field with all pairs of pixels, and what its parts are for."""

import numpy as np
import pytest

from mmseg_tfovss.ops.dense_crf import Kernel, Lattice, refine_masks

SIDE = 24
# Labels of pydensecrf2 1.1 (a packaging of lucasb-eyer/pydensecrf) for `scene`, with the weights of LaVG's kernels
# multiplied by the key; packed by numpy.packbits.
PYDENSECRF = {
    1.0: "e00000c000c0800180000000003c00003f00007fc001fff003fffc03ffff03ffff03fffb"
    "00fff8007ff8007ff800fff0003f00007e00003c00000000000001000003000003000001",
    0.3: "f801e0f001e0f001f0600060003c00003f00003fc001fff003ffff03ffff03ffff03ffff"
    "c0fff8f0fff8607ff8003ff0003f00003e00003e0000000000000700000f00000700000f",
}


def kernels(factor=1.0):
    return [Kernel(7 * factor, 3), Kernel(10 * factor, 50, 5)]


def scene():
    """A disc on a slope of colours with some texture, and a mask of the disc and of much else."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    distance = (rows - 11) ** 2 + (columns - 13) ** 2
    image = np.stack([40 + 150 * (distance < 60), 60 + 5 * rows, 200 - 4 * columns], axis=-1)
    image = image + (rows * 7 + columns * 13)[..., None] % 11
    return image.astype(np.uint8), ((rows // 4 + columns // 5) % 3 == 0) | (distance < 30)


def unary(mask):
    return np.where(mask, 1.0, -1.0)


def gaussian(features):
    return np.exp(-0.5 * ((features[:, None] - features[None]) ** 2).sum(axis=-1))


def all_pairs(image, bias, parts, steps):
    """Mean field without a lattice: probabilities (H, W) of being inside, from a matrix of pixels x pixels."""
    total = 0
    for part in parts:
        matrix = gaussian(part.features(image.astype(float)))
        norm = 1 / np.sqrt(matrix.sum(axis=1))
        total = total + part.weight * norm[:, None] * matrix * norm
    inside = 1 / (1 + np.exp(-bias.ravel()))
    for _ in range(steps):
        energies = np.stack([total @ (1 - inside), bias.ravel() + total @ inside])
        inside = np.exp(energies[1]) / np.exp(energies).sum(axis=0)
    return inside.reshape(bias.shape)


@pytest.mark.parametrize("factor", PYDENSECRF)
def test_labels_are_those_of_pydensecrf(factor):
    image, mask = scene()
    found = refine_masks(image, unary(mask)[None], kernels(factor), steps=10)[0]
    assert np.packbits(found).tobytes().hex() == PYDENSECRF[factor]


@pytest.mark.parametrize("factor", [1.0, 0.3])
def test_labels_are_near_those_of_all_pairs(factor):
    """The lattice's kernel is not quite the Gaussian: at most 3 in 100 pixels differ, where 12 or 20 are relabelled."""
    image, mask = scene()
    found = refine_masks(image, unary(mask)[None], kernels(factor), steps=10)[0]
    exact = all_pairs(image, unary(mask), kernels(factor), steps=10) > 0.5
    assert (found != exact).mean() < 0.03
    assert (found != mask).mean() > 0.1


@pytest.mark.parametrize(("dims", "least"), [(2, 0.99), (5, 0.95)])
def test_the_lattice_is_near_the_gaussian(dims, least):
    """Up to a factor, which normalisation takes away; in few dimensions lattice points have more neighbours."""
    features = np.random.default_rng(0).normal(size=(120, dims))
    found = Lattice(features).filter(np.eye(120, dtype=np.float32))
    assert found.min() >= 0
    assert np.corrcoef(found.ravel(), gaussian(features).ravel())[0, 1] > least
    values = np.random.default_rng(1).random((120, 2)).astype(np.float32)
    np.testing.assert_allclose(Lattice(features).filter(values), found @ values, rtol=1e-4)


def test_points_of_one_place_share_what_they_get():
    features = np.zeros((3, 2))
    found = Lattice(features).filter(np.array([[1.0], [0.0], [2.0]], dtype=np.float32))
    assert found[0] > 0
    assert np.allclose(found, found[0])


def test_masks_of_an_image_are_refined_each_by_itself():
    image, mask = scene()
    other = np.roll(mask, 5, axis=1)
    both = refine_masks(image, np.stack([unary(mask), unary(other)]), kernels(), steps=10)
    for one, start in zip(both, (mask, other), strict=True):
        assert np.array_equal(one, refine_masks(image, unary(start)[None], kernels(), steps=10)[0])


def test_images_need_not_be_square():
    image, mask = scene()
    image, mask = image[:17], mask[:17]
    found = refine_masks(image, unary(mask)[None], kernels(), steps=5)[0]
    assert (found != (all_pairs(image, unary(mask), kernels(), 5) > 0.5)).mean() < 0.06
    turned = refine_masks(image.transpose(1, 0, 2), unary(mask).T[None], kernels(), steps=5)[0]
    assert (found != turned.T).mean() < 0.04


def test_colours_draw_the_edge():
    """A coarse mask takes the outline of the disc where colours count, and not without them."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    disc = (rows - 11) ** 2 + (columns - 13) ** 2 < 60
    image = np.where(disc[..., None], [200, 40, 40], [30, 90, 160]).astype(np.uint8)
    coarse = disc[rows // 8 * 8 + 4, columns // 8 * 8 + 4]
    by_colour, plain = (refine_masks(image, unary(coarse)[None], parts, 10)[0] for parts in (kernels(), kernels()[:1]))
    assert (by_colour == disc).mean() > (coarse == disc).mean() + 0.05
    assert (plain == disc).mean() < (by_colour == disc).mean() - 0.05


def test_without_steps_pixels_stay_where_they_are():
    image, mask = scene()
    assert np.array_equal(refine_masks(image, unary(mask)[None], kernels(), steps=0)[0], mask)
