"""A random CLIP, and a ranking of its heads."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.pretrained import get_pretrained_cfg

from mmseg_tfovss.encoders.head_ranking import VERSION
from mmseg_tfovss.encoders.weights import load_clip
from mmseg_tfovss.whole_file import whole_file


def write_random_clip(path: Path, arch: str) -> Path:
    """Write a random CLIP in OpenAI's layout; every value is exact in float16, to which official loaders round.

    Args:
        path: file to write, ``.pt``.
        arch: name in open_clip, such as ``ViT-B-16``.

    Raises:
        ValueError: open_clip does not know the architecture.
    """
    if arch not in open_clip.list_models():
        raise ValueError(
            f"Random weights need a model.backbone.arch that open_clip knows, such as ViT-B-16: it has no architecture"
            f" {arch!r}."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        logging.disable(logging.WARNING)  # that these weights are random is what is wanted
        try:
            model = open_clip.create_model(arch, pretrained=None, force_quick_gelu=True)
        finally:
            logging.disable(logging.NOTSET)
    torch.save({name: tensor.half().float() for name, tensor in model.state_dict().items()}, path)
    return path


def has_quick_gelu(backbone: Mapping[str, Any]) -> bool:
    """Whether the weights that a config names have QuickGELU: random ones in their place should take as long.

    Args:
        backbone: settings of the image tower.
    """
    arch, own = backbone["arch"], backbone.get("quick_gelu")
    if own is not None or arch.endswith("-quickgelu"):
        return own is not False
    tag = get_pretrained_cfg(arch, str(backbone.get("pretrained")))
    return not tag or bool(tag.get("quick_gelu", False))  # a file is taken for one of OpenAI's


def write_ranking(path: Path, backbone: Mapping[str, Any]) -> Path:
    """Rank the heads of a random CLIP by their numbers, for none is better than another.

    Args:
        path: file to write.
        backbone: settings of the image tower, with the file of the random CLIP.
    """
    loaded = load_clip(backbone["arch"], backbone["pretrained"], quick_gelu=backbone.get("quick_gelu"))
    blocks = loaded.model.visual.transformer.resblocks
    heads = blocks[0].attn.num_heads
    content = {
        "version": VERSION,
        "weights_hash": loaded.weights_hash,
        "arch": loaded.name,
        "blocks": len(blocks),
        "heads_per_block": heads,
        "datasets": [],
        "commands": [],
        "heads": [[block, head, 0.0] for head in range(heads) for block in range(len(blocks) - 1, 0, -1)],
    }
    with whole_file(path) as scratch:
        scratch.write_text(json.dumps(content), encoding="utf-8")
    return path
