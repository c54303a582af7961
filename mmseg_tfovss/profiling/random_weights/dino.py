"""A random DINO, in the layout of its authors' files."""

import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmseg_tfovss.whole_file import whole_file

_WIDTH, _DEPTH, _PATCH, _PIXELS = 768, 12, 8, 224  # ViT-B/8, which most methods with a DINO take
_NAME = re.compile(r"vit_?b(?:ase)?_?(8|16)(?!\d)")


def take_random_dino(network: MutableMapping[str, Any], place: str, folder: Path) -> Path:
    """Let a network of a config have random weights.

    Args:
        network: its settings, of type DINO; changed.
        place: where it is in the config, for messages.
        folder: for the file, which is written at the first call.

    Returns:
        The file.

    Raises:
        ValueError: it is no ViT-B.
    """
    named = _NAME.search(Path(network.get("pretrained") or "vitb8").name)
    if named is None:
        raise ValueError(
            f"A random DINO is a ViT-B/8 or ViT-B/16, but {place}.pretrained is {network['pretrained']!r}: take"
            " facebook/dino-vitb8 or facebook/dino-vitb16."
        )
    path = folder / f"random_dino_vitb{named[1]}.pth"
    if not path.is_file():
        with whole_file(path) as scratch:
            torch.save(random_dino(patch=int(named[1])), scratch)
    network["pretrained"] = str(path)
    return path


def random_dino(width: int = _WIDTH, depth: int = _DEPTH, patch: int = _PATCH) -> dict[str, Tensor]:
    """Tensors of a ViT in the layout of facebookresearch/dino, every value exact in float16."""
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 1 + (_PIXELS // patch) ** 2, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    for number in range(depth):
        block = {"norm1": (), "attn.qkv": (3 * width, width), "attn.proj": (width, width)}
        block |= {"norm2": (), "mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}
        for name, shape in block.items():
            shapes[f"blocks.{number}.{name}.weight"] = shape or (width,)
            shapes[f"blocks.{number}.{name}.bias"] = shape[:1] or (width,)
    generator = torch.Generator().manual_seed(0)
    tensors = {name: 0.03 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return {name: (tensor + _is_gain(name)).half().float() for name, tensor in tensors.items()}


def _is_gain(name: str) -> bool:
    return "norm" in name and name.endswith("weight")
