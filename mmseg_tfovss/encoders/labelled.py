"""Images that bring their ground truth along, for oracles."""

from typing import Any

import torch
import torch.nn.functional as F
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_tfovss.encoders.preprocessor import CLIPPreprocessor
from mmseg_tfovss.registry import MODELS


@MODELS.register_module()
class LabelledPreprocessor(CLIPPreprocessor):
    """CLIP's normalisation; behind the three colours, the image's labels as a fourth channel.

    The channel holds label + 1, resized to the nearest; 0 is what windows may be padded with. An image whose data
    sample has no ``gt_sem_seg``, or that has no sample, keeps its three channels.

    Args:
        **kwargs: see :class:`~mmseg_tfovss.encoders.preprocessor.CLIPPreprocessor`.
    """

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Normalise a batch and add the labels.

        Args:
            data: ``inputs``: B uint8 BGR images (3, H, W); ``data_samples``: with ``gt_sem_seg`` (1, H', W').
            training: accepted for MMEngine; there is no training.

        Returns:
            ``inputs``: list of B float images (4, H, W); ``data_samples``.
        """
        data = super().forward(data, training)
        samples = data["data_samples"] or [None] * len(data["inputs"])
        data["inputs"] = [_add_labels(image, sample) for image, sample in zip(data["inputs"], samples, strict=True)]
        return data


def _add_labels(image: Tensor, sample: SegDataSample | None) -> Tensor:
    if sample is None or "gt_sem_seg" not in sample:
        return image
    labels = sample.gt_sem_seg.data[None].to(image) + 1  # (1, 1, H', W')
    return torch.cat([image, F.interpolate(labels, size=image.shape[-2:], mode="nearest-exact")[0]])


def patch_labels(images: Tensor, patch_size: int) -> Tensor:
    """The label that most pixels of each patch have, as they come out of :class:`LabelledPreprocessor`.

    Args:
        images: (B, 4, H, W).
        patch_size: pixels of a patch's side.

    Returns:
        (B, h w), of the whole patches; label + 1.

    Raises:
        ValueError: the images have three channels.
    """
    if images.shape[1] == 3:
        raise ValueError(
            "model.recovery='within_ground_truth' is an oracle, for an ablation only: it looks at the labels of every"
            " image that it is to label, and here are none. Use tools/test.py on a dataset, or another recovery."
        )
    rows, columns = (pixels // patch_size * patch_size for pixels in images.shape[2:])
    labels = images[:, 3, :rows, :columns]
    patches = labels.unfold(1, patch_size, patch_size).unfold(2, patch_size, patch_size)  # (B, h, w, p, p)
    return patches.flatten(3).mode(dim=-1).values.flatten(1)
