"""Loading, as transforms of an MMSeg pipeline.

They have MMSegmentation's names too, for its functions look for these: LoadImageFromFile, LoadAnnotations.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_tfovss.datasets.files import check_pair, image_orientation, load_image, load_labels
from mmseg_tfovss.registry import TRANSFORMS


@TRANSFORMS.register_module(name=["LoadImageFromFile", "LoadImage"])
class LoadImage(BaseTransform):
    """Read ``img_path`` into ``img`` (H, W, 3) uint8 BGR, and note its original size and how it was turned."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load one image; see :func:`mmseg_tfovss.datasets.files.read_image` for what is refused."""
        results["img"], results["orientation"] = load_image(results["img_path"])
        results["img_shape"] = results["ori_shape"] = results["img"].shape[:2]
        return results


@TRANSFORMS.register_module(name=["LoadAnnotations", "LoadLabels"])
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
            ValueError: the map's size differs from the image's, or it is unknown how they lie on each other.
        """
        image, annotation = results["img_path"], results["seg_map_path"]
        labels, turned = load_labels(annotation)
        orientation = results["orientation"] if "orientation" in results else image_orientation(image)
        check_pair(image, results["ori_shape"], orientation, annotation, (labels, turned))
        if results.get("reduce_zero_label"):
            ignored = (labels == 0) | (labels == self.ignore_index)
            labels = np.where(ignored, self.ignore_index, labels - 1)
        label_map = results.get("label_map")
        if label_map:  # MMSeg's, for a dataset evaluated on some of its classes
            labels = np.select([labels == old for old in label_map], list(label_map.values()), labels)
        results["gt_seg_map"] = labels
        results.setdefault("seg_fields", []).append("gt_seg_map")
        return results


@TRANSFORMS.register_module()
class Relabel(BaseTransform):
    """Change labels, where there are any.

    Args:
        mapping: old label -> new label; labels that are not named stay.
    """

    def __init__(self, mapping: Mapping[int, int]) -> None:
        self.mapping = dict(mapping)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change ``gt_seg_map``."""
        labels = results.get("gt_seg_map")
        if labels is None:
            return results
        changed = labels.copy()
        for old, new in self.mapping.items():
            changed[labels == old] = new
        results["gt_seg_map"] = changed
        return results
