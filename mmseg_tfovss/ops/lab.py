"""CIELAB: colours in which equal distances look about equally large.

    sRGB -> linear:    c / 12.92 up to 0.04045, then ((c + 0.055) / 1.055)^2.4
    linear -> XYZ:     the matrix of ITU-R BT.709 and D65, divided by the white (0.95047, 1, 1.08883)
    XYZ -> Lab:        L = 116 f(Y) - 16,  a = 500 (f(X) - f(Y)),  b = 200 (f(Y) - f(Z)),
                       f(t) = t^(1/3) above 0.008856, below 7.787 t + 4 / 29

Constants as kornia has them.
"""

import torch
from torch import Tensor

_XYZ_OF_RGB = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.95047, 1.0, 1.08883)


def rgb_to_lab(image: Tensor) -> Tensor:
    """RGB (3, H, W) in [0, 1] -> L in [0, 100], a and b in about [-128, 128]: (3, H, W)."""
    linear = torch.where(image > 0.04045, ((image.clamp_min(0) + 0.055) / 1.055) ** 2.4, image / 12.92)
    x, y, z = (
        sum(weight * channel for weight, channel in zip(row, linear, strict=True)) / white
        for row, white in zip(_XYZ_OF_RGB, _WHITE, strict=True)
    )
    x, y, z = (torch.where(t > 0.008856, t.clamp_min(0.008856) ** (1 / 3), 7.787 * t + 4 / 29) for t in (x, y, z))
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])
