"""Images in whole grey levels, resized to the last digit as Pillow does it, on any device.

Where one side grows and the other shrinks, the newest versions of Pillow take the other order.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.ops.canvas import Size

_ONE = 1 << 22  # Pillow's weights are whole numbers of this fraction


def resize_grey_levels(images: Tensor, size: Size, mode: str = "bicubic") -> Tensor:
    """Resize images, with a wider filter where they shrink; along rows first, rounded to whole levels each time.

    Args:
        images: (B, C, H, W), whole numbers from 0 to 255 of any floating dtype.
        size: H' and W'.
        mode: ``bicubic`` or ``bilinear``.

    Returns:
        (B, C, H', W'), whole numbers from 0 to 255 of the same dtype.
    """
    found = images.double()  # exact: sums stay below 2^53
    if images.shape[-1] != size[1]:
        found = _to_levels(found @ _weights(images.shape[-1], size[1], mode).to(found.device).T)
    if images.shape[-2] != size[0]:
        found = _to_levels(_weights(images.shape[-2], size[0], mode).to(found.device) @ found)
    return found.to(images.dtype)


def _to_levels(sums: Tensor) -> Tensor:
    return ((sums + _ONE // 2) / _ONE).floor_().clamp_(0, 255)


@lru_cache(maxsize=32)
def _weights(source: int, target: int, mode: str) -> Tensor:
    """(target, source) weights, times ``_ONE``, whole numbers."""
    identity = torch.eye(source, dtype=torch.float64)[None, :, None]
    found = F.interpolate(identity, size=(1, target), mode=mode, align_corners=False, antialias=True)
    weights = found[0, :, 0].T * _ONE
    return weights.sign() * (weights.abs() + 0.5).floor()
