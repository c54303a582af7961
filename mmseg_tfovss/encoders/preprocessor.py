"""From decoded images to what CLIP sees."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmseg_tfovss.checks import check_option
from mmseg_tfovss.encoders.fitting import FITTED, FITTED_BY, Fitting
from mmseg_tfovss.encoders.image_size import check_image_size
from mmseg_tfovss.registry import MODELS

# CLIP's mean and standard deviation times 255, rounded as in every repository of the field; RGB.
CLIP_MEAN = (122.771, 116.746, 104.094)
CLIP_STD = (68.501, 66.632, 70.323)
# The same as OpenAI's own preprocessing has them.
OPENAI_MEAN, OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
EXACT_MEAN = tuple(255 * mean for mean in OPENAI_MEAN)
EXACT_STD = tuple(255 * std for std in OPENAI_STD)


def in_grey_levels(mean: Sequence[float], std: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    """Statistics of values in [0, 1] as those of 0 .. 255; OpenAI's are rounded as in the field."""
    if (tuple(mean), tuple(std)) == (OPENAI_MEAN, OPENAI_STD):
        return CLIP_MEAN, CLIP_STD
    return [255 * value for value in mean], [255 * value for value in std]


@MODELS.register_module()
class CLIPPreprocessor(BaseDataPreprocessor):
    """Resize images; then, on the model's device, where pixels arrive as bytes, reverse BGR to RGB and normalise.

    Images keep their own sizes: nothing is padded.

    Args:
        mean: per channel, RGB, in grey levels 0 .. 255; ``None``: those of the CLIP that the model loads.
        std: per channel, RGB, in grey levels; ``None`` likewise.
        short_side: images are resized to it; ``None``: they are taken as they come.
        centre_square: cut the square in the middle out of image and labels, as CLIPtrase is evaluated: labels are then
            compared at the size of the square.
        stretch_to_square: resize images to a square of ``short_side`` pixels, whatever their aspect ratio; labels stay
            those of the original.
        exact: OpenAI's statistics as they are, not rounded as most of the field has them.

    Attributes:
        keeps_original: samples get what is labelled, (H, W, 3) uint8 RGB, as ``original``: for methods that read it.

    Raises:
        ValueError: numbers that are no mean or standard deviation, or a size that is none.
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        short_side: int | None = None,
        centre_square: bool = False,
        stretch_to_square: bool = False,
        exact: bool = False,
    ) -> None:
        super().__init__(non_blocking=True)
        _check_statistics("mean", mean, 0)
        _check_statistics("std", std, 1e-6)
        check_image_size(short_side, centre_square, stretch_to_square)
        self.given_mean, self.given_std = mean is not None, std is not None
        check_option("model.data_preprocessor.exact", exact, (True, False))
        usual = (EXACT_MEAN, EXACT_STD) if exact else (CLIP_MEAN, CLIP_STD)
        for kind, values in (("mean", mean or usual[0]), ("std", std or usual[1])):
            self.register_buffer(kind, torch.tensor(values).view(3, 1, 1), persistent=False)
        self.short_side, self.centre_square = short_side, centre_square
        self.stretch_to_square = stretch_to_square
        self.keeps_original = False

    def follow(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Take a CLIP's own statistics (of values in [0, 1]), unless the config gives others.

        OpenAI's stay as they are: rounded as in the field, or as a method has them.
        """
        if (tuple(mean), tuple(std)) == (OPENAI_MEAN, OPENAI_STD):
            return
        for name, values in zip(("mean", "std"), in_grey_levels(mean, std), strict=True):
            if not getattr(self, f"given_{name}"):
                getattr(self, name).copy_(torch.tensor(values).view(3, 1, 1))

    @property
    def fitting(self) -> Fitting:
        """How images get their size."""
        return Fitting(self.short_side, self.centre_square, self.stretch_to_square, self.keeps_original)

    def fit(self, image: np.ndarray, name: str = "") -> np.ndarray:
        """An image (H, W, 3) uint8 at the size at which the network sees it."""
        return self.fitting.fit(image, name)

    def labelled(self, image: np.ndarray) -> np.ndarray:
        """What gets labels of an image (H, W, 3) uint8: the image itself, or the square that is cut out of it."""
        return self.fitting.labelled(image)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Resize and normalise a batch.

        Args:
            data: ``inputs``: B uint8 BGR images (3, H, W) as they are in their files; ``data_samples``: theirs. What a
                :class:`~mmseg_tfovss.encoders.fitting.FittingCollate` has put beside them is used.
            training: accepted for MMEngine; there is no training.

        Returns:
            ``inputs``: list of B float RGB images (3, h, w); ``data_samples``.

        Raises:
            ValueError: a pipeline has resized the images already.
        """
        images, samples = data.get(FITTED), data.get("data_samples")
        if images is None or samples is None or data.get(FITTED_BY) != self.fitting:
            images, samples = self.fitting.prepare_all(data["inputs"], samples)
        data = self.cast_data({"inputs": images, "data_samples": samples})
        return {"inputs": [self._normalise(image) for image in data["inputs"]], "data_samples": data["data_samples"]}

    def _normalise(self, image: Tensor) -> Tensor:
        return (image.flip(0).to(self.mean.dtype) - self.mean) / self.std


def _check_statistics(name: str, values: Sequence[float] | None, least: float) -> None:
    if values is None:
        return
    numbers = [value for value in values if isinstance(value, int | float)] if isinstance(values, Sequence) else []
    if len(numbers) != 3 or min(numbers) < least:
        raise ValueError(
            f"model.data_preprocessor.{name} must be three numbers of at least {least:g}, in grey levels, but got"
            f" {values!r}."
        )
