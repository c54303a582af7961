"""Text features that no text tower has made: random ones, and ones that tell patches of an image apart."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.engine.single import read_image, segment_images
from mmseg_tfovss.methods.base import OpenVocabSegmentor

_MULTIPLE = 112  # of the patches of every network here


def use_random_text(model: OpenVocabSegmentor) -> None:
    """Give the text head random unit features, the same on every call, in place of running the text tower."""
    head = model.decode_head
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(head.out_channels, model.backbone.proj.shape[1], generator=generator)
    head.text_features = F.normalize(features, dim=-1).to(head.query_class.device)


@torch.inference_mode()
def words_from_patches(model: OpenVocabSegmentor, image: Tensor) -> Tensor:
    """Text features (Q, D) for random weights: features of patches of the image, so that it is not all of one class.

    Args:
        model: its head says how many queries there are.
        image: resized and normalised (3, h, w).
    """
    height, width = (side // _MULTIPLE * _MULTIPLE or side for side in image.shape[1:])
    image = image[:, :height, :width]
    patches = model.extract_feat(image[None].to(model.backbone.proj.dtype)).flatten(2)[0].T  # (hw, D)
    return _chosen(patches, len(model.decode_head.query_class))


@torch.inference_mode()
def words_from_windows(model: OpenVocabSegmentor, path: Path) -> Tensor:
    """The same for a method that needs more than the image: features (Q, D) of the patches that its head is given.

    Args:
        model: its head says how many queries there are.
        path: the image, for which the method's regions are recorded.
    """
    seen: list[Tensor] = []
    head = model.decode_head
    hook = head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        segment_images(model, [read_image(path)], [str(path)])
    finally:
        hook.remove()
    patches = torch.cat([maps.flatten(2).transpose(1, 2).flatten(0, 1) for maps in seen])  # of all windows
    return _chosen(patches, len(head.query_class))


def _chosen(patches: Tensor, queries: int) -> Tensor:
    """Unit features of some patches (N, D), with a little noise."""
    chosen = torch.linspace(0, len(patches) - 1, queries, device=patches.device).round().long()
    noise = torch.randn(queries, patches.shape[1], generator=torch.Generator().manual_seed(0))
    features = F.normalize(patches[chosen].float(), dim=-1) + 0.01 * noise.to(patches.device)
    return F.normalize(features, dim=-1)
