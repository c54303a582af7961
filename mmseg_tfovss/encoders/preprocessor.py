"""From decoded images to what CLIP sees."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmseg_tfovss.registry import MODELS

# CLIP's mean and standard deviation times 255, rounded as in every repository of the field; RGB.
CLIP_MEAN = (122.771, 116.746, 104.094)
CLIP_STD = (68.501, 66.632, 70.323)
# The same as OpenAI's own preprocessing has them.
EXACT_MEAN = tuple(255 * mean for mean in (0.48145466, 0.4578275, 0.40821073))
EXACT_STD = tuple(255 * std for std in (0.26862954, 0.26130258, 0.27577711))


@MODELS.register_module()
class CLIPPreprocessor(BaseDataPreprocessor):
    """Reverse BGR to RGB and normalise, on the model's device. Images keep their own sizes: nothing is padded.

    Args:
        mean: per channel, RGB, in grey levels 0 .. 255.
        std: per channel, RGB, in grey levels.
    """

    def __init__(self, mean: Sequence[float] = CLIP_MEAN, std: Sequence[float] = CLIP_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Normalise a batch.

        Args:
            data: ``inputs``: B uint8 BGR images (3, H, W); ``data_samples``: passed on.
            training: accepted for MMEngine; there is no training.

        Returns:
            ``inputs``: list of B float RGB images (3, H, W); ``data_samples``.
        """
        data = self.cast_data(data)
        inputs = [self._normalise(image) for image in data["inputs"]]
        return {"inputs": inputs, "data_samples": data.get("data_samples")}

    def _normalise(self, image: Tensor) -> Tensor:
        return (image.flip(0).to(self.mean.dtype) - self.mean) / self.std
