"""Loading and resizing, as transforms of an MMSeg pipeline."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform, Resize
from PIL import Image

from mmseg_tfovss.datasets.files import check_pair, image_orientation, load_image, load_labels
from mmseg_tfovss.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read ``img_path`` into ``img`` (H, W, 3) uint8 BGR, and note its original size and how it was turned."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load one image; see :func:`mmseg_tfovss.datasets.files.read_image` for what is refused."""
        results["img"], results["orientation"] = load_image(results["img_path"])
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
class CentreSquare(BaseTransform):
    """Resize to a short side with Pillow's bicubic filter and cut out the square in the middle, image and labels.

    This is CLIP's own preprocessing (torchvision's ``Resize`` and ``CenterCrop``), in which CLIPtrase is evaluated: the
    square becomes the original, so labels are compared at its size. Labels are resized to the nearest.

    Args:
        short_side: pixels of the square's side.

    Raises:
        ValueError: a size that is not positive.
    """

    def __init__(self, short_side: int) -> None:
        if not isinstance(short_side, int) or short_side < 1:
            raise ValueError(f"short_side must be a positive number of pixels, but got {short_side!r}.")
        self.short_side = short_side

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Cut ``img`` (uint8 BGR) and, if it is there, ``gt_seg_map``."""
        image = Image.fromarray(results["img"])  # a filter treats the channels alike: BGR may stay
        results["img"] = np.array(self._cut(image, Image.Resampling.BICUBIC))
        if "gt_seg_map" in results:
            labels = Image.fromarray(results["gt_seg_map"].astype(np.int32))
            results["gt_seg_map"] = np.asarray(self._cut(labels, Image.Resampling.NEAREST)).astype(np.int64)
        results["img_shape"] = results["ori_shape"] = results["img"].shape[:2]
        return results

    def _cut(self, image: Image.Image, resample: Image.Resampling) -> Image.Image:
        side = self.short_side
        # torchvision's rounding: the long side down, the corner half to even.
        width, height = (int(side * pixels / min(image.size)) for pixels in image.size)
        left, top = round((width - side) / 2), round((height - side) / 2)
        return image.resize((width, height), resample).crop((left, top, left + side, top + side))


@TRANSFORMS.register_module()
class Relabel(BaseTransform):
    """Note whether an image is labelled at all, then change labels.

    Args:
        mapping: old label -> new label; labels that are not named stay.
        unlabelled: an image that holds no other label than these (before the change) gets ``labelled = False``.
    """

    def __init__(self, mapping: Mapping[int, int] | None = None, unlabelled: Sequence[int] = ()) -> None:
        self.mapping = dict(mapping or {})
        self.unlabelled = tuple(unlabelled)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change ``gt_seg_map``."""
        labels = results["gt_seg_map"]
        results["labelled"] = not np.isin(labels, self.unlabelled).all()
        changed = labels.copy()
        for old, new in self.mapping.items():
            changed[labels == old] = new
        results["gt_seg_map"] = changed
        return results


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
