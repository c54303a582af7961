"""Random weights that official code and ours can both read, and words that tell patches apart."""

import logging
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.engine.single import read_image
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.official.pairs import our_labels

_MULTIPLE = 112  # of the patches of every network here


def write_random_clip(path: Path, arch: str) -> Path:
    """Write a random CLIP in OpenAI's layout; every value is exact in float16, to which official loaders round.

    Args:
        path: file to write, ``.pt``.
        arch: name in open_clip, such as ``ViT-B-16``.

    Raises:
        ValueError: open_clip does not know the architecture.
    """
    if arch not in open_clip.list_models():
        raise ValueError(f"--against: open_clip has no architecture {arch!r}; name one by model.backbone.arch.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        logging.disable(logging.WARNING)  # that these weights are random is what is wanted
        try:
            model = open_clip.create_model(arch, pretrained=None, force_quick_gelu=True)
        finally:
            logging.disable(logging.NOTSET)
    torch.save({name: tensor.half().float() for name, tensor in model.state_dict().items()}, path)
    return path


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
        our_labels(model, path)(read_image(path))
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
