"""For libraries that give maps of the whole image, stretched to a square, but no labels: GEM and CLIP Surgery."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from PIL import Image
from torch import Tensor

from mmseg_tfovss.methods.base import OpenVocabSegmentor


def check_square(config: Config, method: str) -> None:
    """Refuse a config that sees an image otherwise.

    Raises:
        ValueError: it does not stretch the image to a square, or cuts windows.
    """
    model = config.model
    if not model.get("stretch_to_square") or model.test_cfg.mode != "whole":
        raise ValueError(
            f"--against: {method}'s code sees the whole image, stretched to a square, which {config.run_name} does not"
            " do: take its own protocol (protocol=paper), and leave model.test_cfg as it is."
        )


def as_picture(image: np.ndarray) -> Image.Image:
    """An image (H, W, 3) uint8 BGR for torchvision's transforms."""
    return Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def choose_classes(logits: Tensor, size: tuple[int, int], ours: OpenVocabSegmentor, scale: float) -> Tensor:
    """Labels (H, W) of maps, in the plain way that the field's segmentors have.

    Args:
        logits: (Q, h, w).
        size: H and W of the image.
        ours: whose classes and threshold of probability are taken.
        scale: of the logits before the softmax.
    """
    head = ours.decode_head
    pixels = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]
    queries = (scale * pixels).softmax(dim=0)  # (Q, H, W)
    number = head.query_class.to(queries.device)
    classes = torch.stack([queries[number == label].amax(dim=0) for label in range(head.num_classes)])
    best, labels = classes.max(dim=0)
    labels[best < head.prob_threshold] = 0
    return labels.cpu()
