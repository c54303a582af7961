"""An image for measurements without one."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def make_noise_image(path: Path, size: Sequence[int]) -> Path:
    """Write a JPEG of smooth random colours, the same on every call, and return its path.

    Args:
        path: file to write.
        size: height and width in pixels.
    """
    height, width = size
    coarse = np.random.default_rng(0).integers(0, 256, (height // 32 + 1, width // 32 + 1, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return path
