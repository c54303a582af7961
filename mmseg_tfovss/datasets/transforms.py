"""Loading and resizing, as transforms of an MMSeg pipeline."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform, Resize

from mmseg_tfovss.datasets.files import read_image, read_labels
from mmseg_tfovss.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read ``img_path`` into ``img`` (H, W, 3) uint8 BGR, and note its original size."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load one image; see :func:`mmseg_tfovss.datasets.files.read_image` for what is refused."""
        results["img"] = read_image(results["img_path"])
        results["img_shape"] = results["ori_shape"] = results["img"].shape[:2]
        return results


@TRANSFORMS.register_module()
class ResizeShortSide(Resize):
    """Resize to a short side, keeping the aspect ratio: MMCV's ``Resize(scale=(2048, S), keep_ratio=True)``.

    factor = min(cap / long side, S / short side); new size = int(size * factor + 0.5); OpenCV bilinear. Labels are
    loaded after it and keep their original size.

    Args:
        short_side: S, pixels (> 0).
        long_cap: cap, pixels; it binds only for aspect ratios above cap / S.

    Raises:
        ValueError: a size that is not positive.
    """

    def __init__(self, short_side: int, long_cap: int = 2048) -> None:
        if not isinstance(short_side, int) or min(short_side, long_cap) < 1:
            raise ValueError(
                f"short_side must be a positive number of pixels, but got {short_side!r} (cap {long_cap!r})."
            )
        super().__init__(scale=(long_cap, short_side), keep_ratio=True)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize ``img``.

        Raises:
            ValueError: the image is so long that its short side would vanish.
        """
        height, width = results["img"].shape[:2]
        if min(height, width) * max(self.scale) < 0.5 * max(height, width):
            raise ValueError(
                f"The image {results['img_path']} of {height}x{width} pixels (height x width) is too elongated:"
                " nothing of its short side is left after resizing."
            )
        return super().transform(results)


@TRANSFORMS.register_module()
class LoadLabels(BaseTransform):
    """Read ``seg_map_path`` into ``gt_seg_map`` (H, W) int64, 8 or 16 bits.

    Honours the dataset's ``reduce_zero_label`` (0 becomes the ignore index, the others move down by one) and checks the
    size against the image.

    Args:
        ignore_index: what reduced zeros become; 255 for 8-bit sets, 65535 for 16-bit sets.
    """

    def __init__(self, ignore_index: int = 255) -> None:
        self.ignore_index = ignore_index

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load one label map; see :func:`mmseg_tfovss.datasets.files.read_labels` for what is refused.

        Raises:
            ValueError: the map's size differs from the image's.
        """
        labels = read_labels(results["seg_map_path"])
        if labels.shape != tuple(results["ori_shape"]):
            raise ValueError(
                f"The annotation {results['seg_map_path']} is {labels.shape[0]}x{labels.shape[1]} pixels, but its image"
                f" {results['img_path']} is {results['ori_shape'][0]}x{results['ori_shape'][1]}."
            )
        if results.get("reduce_zero_label"):
            ignored = (labels == 0) | (labels == self.ignore_index)
            labels = np.where(ignored, self.ignore_index, labels - 1)
        label_map = results.get("label_map")
        if label_map:  # MMSeg's, for a dataset evaluated on some of its classes
            labels = np.select([labels == old for old in label_map], list(label_map.values()), labels)
        results["gt_seg_map"] = labels
        results.setdefault("seg_fields", []).append("gt_seg_map")
        return results
