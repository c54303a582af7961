"""Resampling of a ViT's learned position table to another patch grid."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

POSITION_MODES = ("field", "exact")
_FIELD_OFFSET = 0.1  # guards the field's scale factors against a floor to one patch too few


def interpolate_positions(table: Tensor, grid: tuple[int, int], mode: str = "field") -> Tensor:
    """Positions of a class token and an (h, w) patch grid, from the trained square table.

    ``field`` is what SCLIP, ClearCLIP, NACLIP and their descendants compute, with its two quirks:

    * the table is used as it is whenever the *number* of tokens agrees, so a 7x28 grid gets the 14x14 table;
    * otherwise bicubic interpolation by the scale factors (h + 0.1) / s and (w + 0.1) / s, which shrinks the table
      slightly and not symmetrically.

    ``exact`` interpolates to the target size, and reuses the table for its own grid only.

    Args:
        table: (1 + s * s, C), class token first.
        grid: rows and columns (h, w) of patches.
        mode: ``field`` or ``exact``.

    Returns:
        (1 + h * w, C).
    """
    height, width = grid
    side = math.isqrt(len(table) - 1)
    same = height * width == side * side if mode == "field" else grid == (side, side)
    if same:
        return table
    square = table[1:].unflatten(0, (side, side)).permute(2, 0, 1)[None]  # (1, C, s, s)
    if mode == "field":
        factors = ((height + _FIELD_OFFSET) / side, (width + _FIELD_OFFSET) / side)
        resized = F.interpolate(square, scale_factor=factors, mode="bicubic", align_corners=False)
    else:
        resized = F.interpolate(square, size=grid, mode="bicubic", align_corners=False)
    return torch.cat([table[:1], resized[0].flatten(1).T])
