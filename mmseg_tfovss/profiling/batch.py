"""Batches without a data loader."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmseg.structures import SegDataSample


def batch_of(images: Sequence[np.ndarray], path: Path) -> dict[str, Any]:
    """Decoded images, as a data loader gives them to ``test_step``.

    Args:
        images: (H, W, 3) uint8 BGR each.
        path: the file that they are from.
    """
    inputs = [torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))) for image in images]
    samples = [SegDataSample(metainfo={"img_path": str(path), "ori_shape": image.shape[:2]}) for image in images]
    return {"inputs": inputs, "data_samples": samples}
