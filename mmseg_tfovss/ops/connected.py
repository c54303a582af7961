"""Connected regions of a label map, and what points another network to them: a box and a point."""

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor


class RegionPrompts(NamedTuple):
    """K regions, in the order of their first pixels.

    Attributes:
        masks: (K, H, W) bool.
        boxes: (K, 4) float32: left, top, right and bottom pixel of each, inclusive.
        points: (K, 2) float32: column and row of the pixel with the highest score, the first of equals.
    """

    masks: Tensor
    boxes: Tensor
    points: Tensor


def find_regions(where: Tensor, scores: Tensor, least_area: int) -> RegionPrompts:
    """The regions of pixels that touch each other, at corners too, on the CPU.

    Args:
        where: (H, W) bool.
        scores: (H, W).
        least_area: pixels that a region must have.

    Returns:
        On the scores' device.
    """
    ids, count = ndimage.label(where.cpu().numpy(), structure=np.ones((3, 3)))
    areas = np.bincount(ids.flatten(), minlength=count + 1)
    chosen = [number for number in range(1, count + 1) if areas[number] >= least_area]
    masks = np.zeros((len(chosen), *ids.shape), dtype=bool)
    boxes, points = np.zeros((len(chosen), 4), dtype=np.float32), np.zeros((len(chosen), 2), dtype=np.float32)
    values, slices = scores.float().cpu().numpy(), ndimage.find_objects(ids)
    for index, number in enumerate(chosen):
        rows, columns = slices[number - 1]
        inside = ids[rows, columns] == number
        masks[index, rows, columns] = inside
        boxes[index] = columns.start, rows.start, columns.stop - 1, rows.stop - 1
        best = np.where(inside, values[rows, columns], -np.inf).argmax()
        row, column = np.unravel_index(best, inside.shape)
        points[index] = columns.start + column, rows.start + row
    return RegionPrompts(*(torch.from_numpy(found).to(scores.device) for found in (masks, boxes, points)))
