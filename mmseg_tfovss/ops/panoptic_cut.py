"""Panoptic Cut: masks of an image's objects, without classes, by one normalised cut after another (arXiv:2408.04961).

U <- all patches; repeat:
    v <- second eigenvector of the cut of U (ops/normalised_cut.py);     part = [v > mean v]
    turn round (v <- -v, part <- U - part) if part holds 3 of the image's 4 corners
    mask <- 4-connected component of part that holds argmax v;           U <- U - mask
each mask: up to pixels, CRF (ops/dense_crf.py), holes filled; dropped if it then has another shape
"""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import torch
from PIL import Image
from torch import Tensor

from mmseg_tfovss.checks import check_range, is_number
from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.ops.dense_crf import Kernel, refine_masks
from mmseg_tfovss.ops.normalised_cut import links, second_eigenvector

KERNELS = (Kernel(weight=7, sxy=3), Kernel(weight=10, sxy=50, srgb=5))
_FEWEST = 5  # patches that are not cut any further
_CORNERS = 3
_SAME_SHAPE = 0.5  # IoU


@dataclass(frozen=True)
class CutSettings:
    """How masks are cut.

    Attributes:
        tau: cosine above which two patches are linked, in [-1, 1].
        max_masks: masks of an image at most.
        cut_size: side of the square, in pixels, to which images are resized.
        crf_steps: iterations of the CRF; 0: masks stay as they were cut.
    """

    tau: float = 0.3
    max_masks: int = 8
    cut_size: int = 640
    crf_steps: int = 10

    def __post_init__(self) -> None:
        check_range("model.tau", self.tau, -1, 1)
        for name, least in (("max_masks", 1), ("cut_size", 1), ("crf_steps", 0)):
            value = getattr(self, name)
            if not is_number(value, whole=True) or value < least:
                raise ValueError(f"model.{name} must be a whole number of at least {least}, but got {value!r}.")


def cut_patches(keys: Tensor, grid: Size, tau: float, max_masks: int) -> np.ndarray:
    """Masks of patches, disjoint, in the order in which they are cut.

    Args:
        keys: (N, D) of the N = h w patches.
        grid: h and w.
        tau: cosine above which two patches are linked.
        max_masks: most of them.

    Returns:
        (M, h, w), bool; M may be 0.
    """
    linked = links(keys, tau)
    free = np.ones(grid, dtype=bool)
    masks: list[np.ndarray] = []
    while len(masks) < max_masks and free.sum() > _FEWEST:
        nodes = torch.from_numpy(free.ravel().nonzero()[0]).to(linked.device)
        vector = second_eigenvector(linked if free.all() else linked[nodes][:, nodes])
        if vector is None:
            break
        masks.append(_component(vector.cpu().numpy(), free))
        free &= ~masks[-1]
    return np.stack(masks) if masks else np.zeros((0, *grid), dtype=bool)


def _component(vector: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The mask (h, w) that v of the free patches (h, w) gives."""
    values = np.full(free.shape, -np.inf)
    values[free] = vector
    part = free & (values > vector.mean())
    if part[[0, 0, -1, -1], [0, -1, 0, -1]].sum() >= _CORNERS:
        part = free & ~part
        values[free] = -vector
    names, _ = scipy.ndimage.label(part)
    return np.asarray(names == names.flat[values.argmax()]) & part


def sharpen(masks: np.ndarray, image: np.ndarray, crf_steps: int) -> np.ndarray:
    """Masks (M, h, w) of patches -> (n, H, W) of the pixels of an image (H, W, 3) in grey levels; n <= M.

    Masks whose shape the CRF does not bear out are dropped.
    """
    if not len(masks):
        return np.zeros((0, *image.shape[:2]), dtype=bool)
    rows, columns = (np.arange(image.shape[i]) * masks.shape[1 + i] // image.shape[i] for i in (0, 1))
    coarse = masks[:, rows][:, :, columns]
    if not crf_steps:
        return coarse
    # -log softmax of the mask itself: pixels prefer their side by 1.
    fine = refine_masks(image, np.where(coarse, 1.0, -1.0), KERNELS, crf_steps)
    fine = np.stack([scipy.ndimage.binary_fill_holes(mask) for mask in fine])
    both, either = ((op(fine, coarse)).sum(axis=(1, 2)) for op in (np.logical_and, np.logical_or))
    return fine[both >= _SAME_SHAPE * either]


def resize_masks(masks: np.ndarray, size: Size) -> np.ndarray:
    """Masks (M, h, w) on other pixels, (M, H, W): bicubic, cut at one half."""
    height, width = size
    found = []
    for mask in masks:
        image = Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BICUBIC)
        found.append(np.asarray(image) > 127)
    return np.stack(found) if found else np.zeros((0, *size), dtype=bool)


def with_rest(masks: np.ndarray) -> np.ndarray:
    """Masks (M, H, W), and last the pixels that lie in none of them: (M + 1, H, W)."""
    return np.concatenate([masks, ~masks.any(axis=0, keepdims=True)])
