"""Pixel-adaptive mask refinement (PAMR): pull each pixel's logits towards those of similar neighbours.

Araslanov and Roth, CVPR 2020, arXiv:2005.08104; the form that SCLIP and NACLIP use on CLIP's logits.

For image I (3, H, W), dilations D, the 8 neighbours delta of every dilation, replicated borders::

    k(x, delta) = - mean over colours of |I(x) - I(x + delta)| / (1e-8 + 0.1 sigma(x)),
    sigma(x)    = standard deviation of I over the 9 |D| pixels around x (the centre counts once per dilation),
    A(x, .)     = softmax over the 8 |D| neighbours of k(x, .),
    M(x)       <- sum over delta of A(x, delta) M(x + delta), repeated.
"""

from collections.abc import Iterator, Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.ops.canvas import Canvas, ChannelCanvas
from mmseg_tfovss.ops.slices import parts

_EPSILON = 1e-8
_ELEMENTS = 1 << 20  # values refined at a time: they pass by 16 times in each step, and should stay in the cache
_SHARPNESS = 0.1
_NEIGHBOURS = [(dy, dx) for dy, dx in product((-1, 0, 1), repeat=2) if (dy, dx) != (0, 0)]


def pamr_affinity(image: Tensor, dilations: Sequence[int]) -> Tensor:
    """Weights of the neighbours of every pixel.

    Args:
        image: (3, H, W), normalised colours at the size of the masks.
        dilations: distances of the neighbours, in pixels.

    Returns:
        (8 * len(dilations), H, W), non-negative, sums to 1 over the first axis.
    """
    count = 9 * len(dilations)
    mean = len(dilations) * image
    for neighbour in _neighbours(image, dilations):
        mean = mean + neighbour
    mean /= count
    # Two passes: the mean of squares minus the squared mean cancels in flat regions.
    variance = len(dilations) * (image - mean).square()
    for neighbour in _neighbours(image, dilations):
        variance += (neighbour - mean).square_()
    sharpness = 1 / (_EPSILON + _SHARPNESS * (variance / (count - 1)).sqrt())
    similarity = image.new_empty((8 * len(dilations), *image.shape[1:]))
    for place, neighbour in zip(similarity, _neighbours(image, dilations), strict=True):
        torch.mean((image - neighbour).abs_().mul_(sharpness), dim=0, out=place)
    for rows in parts(image.shape[1], _ELEMENTS // image.shape[2]):  # no second tensor of this size
        similarity[:, rows] = similarity[:, rows].neg().softmax(dim=0)
    return similarity


def pamr(masks: Tensor, affinity: Tensor, dilations: Sequence[int], steps: int) -> Tensor:
    """Refine masks (Q, H, W) in ``steps`` iterations; each mask is refined on its own.

    Memory above the input: twice the masks and one padded copy; refine a few masks at a time to bound it.

    Args:
        masks: (Q, H, W).
        affinity: of :func:`pamr_affinity`, for the same dilations.
        dilations: distances of the neighbours, in pixels.
        steps: number of iterations; 0 returns the masks as they are.

    Returns:
        (Q, H, W).
    """
    for _ in range(steps):
        refined = torch.zeros_like(masks)
        for weight, neighbour in zip(affinity, _neighbours(masks, dilations), strict=True):
            refined.addcmul_(weight, neighbour)
        masks = refined
    return masks


def pamr_canvas(maps: Canvas, image: Tensor, dilations: Sequence[int], steps: int) -> Canvas:
    """The maps of a canvas refined at the original size, a few at a time: memory does not grow with their number.

    Args:
        maps: C maps on H x W pixels.
        image: (3, h, w), normalised colours; they are brought to H x W (bilinear).
        dilations: distances of the neighbours, in pixels.
        steps: number of iterations.
    """
    height, width = maps.size
    resized = F.interpolate(image[None].float(), size=maps.size, mode="bilinear", align_corners=False)[0]
    affinity = pamr_affinity(resized, dilations)
    at_once = max(1, _ELEMENTS // (height * width))

    def compute(channels: slice) -> Tensor:
        return pamr(maps.some(channels), affinity, dilations, steps)

    return ChannelCanvas(maps.size, maps.channels, maps.device, compute, at_once)


def _neighbours(maps: Tensor, dilations: Sequence[int]) -> Iterator[Tensor]:
    """Views (Q, H, W) of maps shifted to each of the 8 neighbours of each dilation; borders are replicated."""
    height, width = maps.shape[-2:]
    reach = max(dilations)
    padded = F.pad(maps[None], (reach,) * 4, mode="replicate")[0]
    for dilation, (dy, dx) in product(dilations, _NEIGHBOURS):
        top, left = reach + dy * dilation, reach + dx * dilation
        yield padded[:, top : top + height, left : left + width]
