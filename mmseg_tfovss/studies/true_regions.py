"""What labels would score if regions were known: the headroom of a method that only moves labels within regions."""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor


def label_true_regions(labels: Tensor, truth: Tensor) -> Tensor:
    """Give every true region the label that most of it has: what could be reached without new knowledge of classes.

    Args:
        labels: of pixels or patches (H, W), >= 0.
        truth: class of each (H, W). A region are all pixels of one class that hang together by their sides.

    Returns:
        (H, W) int64; of equally frequent labels the lowest.
    """
    grid, values = truth.cpu().numpy(), labels.cpu().numpy().astype(np.int64)
    result = np.empty_like(values)
    for owner in np.unique(grid):
        parts, count = ndimage.label(grid == owner)
        for part in range(1, count + 1):
            inside = parts == part
            result[inside] = np.bincount(values[inside]).argmax()
    return torch.from_numpy(result).to(labels.device)
