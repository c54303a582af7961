"""Images at the size at which the network sees them, made on the CPU.

Whoever loads images may do it, or the preprocessor just before they are labelled: it is the same to the bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_tfovss.encoders.image_size import (
    cut_centre_square,
    cut_centre_square_labels,
    resize_short_side,
    stretch_to_square,
)

FITTED, FITTED_BY = "fitted", "fitted_by"  # of a batch: its images as the network sees them, and who has made them


@dataclass(frozen=True)
class Fitting:
    """How images get their size.

    Attributes:
        short_side: images are resized to it; None: they are taken as they come.
        centre_square: cut the square in the middle out of image and labels.
        stretch_to_square: resize images to a square, whatever their aspect ratio.
        keeps_original: samples get what is labelled, (H, W, 3) uint8 RGB, as ``original``.
    """

    short_side: int | None = None
    centre_square: bool = False
    stretch_to_square: bool = False
    keeps_original: bool = False

    def fit(self, image: np.ndarray, name: str = "") -> np.ndarray:
        """An image (H, W, 3) uint8 at the size at which the network sees it."""
        if self.short_side is None:
            return image
        if self.centre_square:
            return cut_centre_square(image, self.short_side)
        if self.stretch_to_square:
            return stretch_to_square(image, self.short_side)
        return resize_short_side(image, self.short_side, name)

    def labelled(self, image: np.ndarray) -> np.ndarray:
        """What gets labels of an image (H, W, 3) uint8: the image itself, or the square that is cut out of it."""
        return self.fit(image) if self.centre_square else image

    def prepare(self, image: Tensor, sample: SegDataSample | None) -> tuple[Tensor, SegDataSample]:
        """An image (3, H, W) uint8 BGR as the network sees it, and its sample."""
        size = (image.shape[-2], image.shape[-1])
        if sample is None:
            sample = SegDataSample(metainfo={"ori_shape": size})
        self._check_untouched(size, sample)
        pixels = image.cpu().numpy().transpose(1, 2, 0)
        if self.keeps_original:
            sample.set_metainfo({"original": self.labelled(np.ascontiguousarray(pixels))[..., ::-1]})
        if self.short_side is None:
            return image, sample
        fitted = self.fit(np.ascontiguousarray(pixels), str(sample.get("img_path", "")))
        if self.centre_square:
            sample = self._cut(sample)
        sample.set_metainfo({"img_shape": fitted.shape[:2]})
        return torch.from_numpy(np.ascontiguousarray(fitted.transpose(2, 0, 1))), sample

    def prepare_all(
        self, images: Sequence[Tensor], samples: Sequence[SegDataSample] | None
    ) -> tuple[list[Tensor], list[SegDataSample]]:
        """:meth:`prepare` of the images of a batch."""
        found = [self.prepare(*pair) for pair in zip(images, samples or [None] * len(images), strict=True)]
        return [image for image, _ in found], [sample for _, sample in found]

    def _check_untouched(self, size: tuple[int, int], sample: SegDataSample) -> None:
        original = tuple(sample.metainfo.get("ori_shape", size)[:2])
        if self.short_side is not None and original != size:
            raise ValueError(
                f"The image {sample.get('img_path', '(no path)')} of {original[0]}x{original[1]} pixels (height x"
                f" width) comes as {size[0]}x{size[1]}, but the model resizes it itself"
                f" (model.short_side={self.short_side}): leave resizing transforms out of the pipeline, or set"
                " model.short_side=None."
            )

    def _cut(self, sample: SegDataSample) -> SegDataSample:
        """A sample whose labels and original are the square."""
        assert self.short_side is not None
        cut = sample.clone()
        cut.set_metainfo({"ori_shape": (self.short_side, self.short_side)})
        if "gt_sem_seg" in cut:
            labels = cut_centre_square_labels(cut.gt_sem_seg.data.squeeze(0).cpu().numpy(), self.short_side)
            cut.gt_sem_seg = PixelData(data=torch.from_numpy(labels)[None])
        return cut


@dataclass(frozen=True)
class FittingCollate:
    """Makes batches as another function does, and puts fitted images beside those of the files.

    A data loader calls it in the processes that load images, so that nobody waits for the resizing.

    Attributes:
        collate: makes a batch ``{"inputs": ..., "data_samples": ...}`` of a list of items.
        fitting: of the model.
    """

    collate: Callable[[Any], Any]
    fitting: Fitting

    def __call__(self, items: list[Any]) -> Any:  # noqa: ANN401 - a batch
        """A batch of items."""
        batch = self.collate(items)
        images, samples = self.fitting.prepare_all(batch["inputs"], batch.get("data_samples"))
        return {**batch, "data_samples": samples, FITTED: images, FITTED_BY: self.fitting}
