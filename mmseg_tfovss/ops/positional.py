"""Resampling of a ViT's learned position table to another patch grid."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# How modes that interpolate to the target size do it.
_TO_SIZE: dict[str, dict[str, Any]] = {
    "exact": {"mode": "bicubic"},
    "antialiased": {"mode": "bicubic", "antialias": True},
    "bilinear": {"mode": "bilinear"},
}
POSITION_MODES = ("field", "scale", *_TO_SIZE)
_FIELD_OFFSET = 0.1  # guards the field's scale factors against a floor to one patch too few


def interpolate_positions(table: Tensor, grid: tuple[int, int], mode: str = "field") -> Tensor:
    """Positions of a class token and an (h, w) patch grid, from the trained square table.

    ``field`` is what SCLIP, ClearCLIP, NACLIP and their descendants compute, with its two quirks:

    * the table is used as it is whenever the *number* of tokens agrees, so a 7x28 grid gets the 14x14 table;
    * otherwise bicubic interpolation by the scale factors (h + 0.1) / s and (w + 0.1) / s, which shrinks the table
      slightly and not symmetrically.

    ``scale`` interpolates likewise, but reuses the table for its own grid only: what DINO's code computes.

    The others interpolate to the target size, and reuse the table for its own grid only: ``exact`` (bicubic),
    ``antialiased`` (bicubic with timm's filter, as GEM has it) and ``bilinear`` (CLIP Surgery).

    Args:
        table: (1 + s * s, C), class token first.
        grid: rows and columns (h, w) of patches.
        mode: ``field``, ``scale``, ``exact``, ``antialiased`` or ``bilinear``.

    Returns:
        (1 + h * w, C).
    """
    height, width = grid
    side = math.isqrt(len(table) - 1)
    same = height * width == side * side if mode == "field" else grid == (side, side)
    if same:
        return table
    square = table[1:].unflatten(0, (side, side)).permute(2, 0, 1)[None]  # (1, C, s, s)
    if mode in ("field", "scale"):
        factors = ((height + _FIELD_OFFSET) / side, (width + _FIELD_OFFSET) / side)
        resized = F.interpolate(square, scale_factor=factors, mode="bicubic", align_corners=False)
    else:
        resized = F.interpolate(square, size=grid, align_corners=False, **_TO_SIZE[mode])
    return torch.cat([table[:1], resized[0].flatten(1).T])
