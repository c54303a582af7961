"""The same random DINO for official code and ours."""

import importlib
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmseg_tfovss.profiling.official.repository import Repository

_WIDTH, _DEPTH, _PATCH, _PIXELS = 768, 12, 8, 224  # ViT-B/8, which most methods with a DINO take
HUB_REMEDY = "Clone https://github.com/facebookresearch/dino, and name the folder by --hub."
_NAME = re.compile(r"vit_?b(?:ase)?_?(8|16)(?!\d)")


def share_dino(config: Config, path: Path) -> Path | None:
    """Let a config of ours read a random DINO, if it has such a network.

    Args:
        config: ours; changed.
        path: file to write.

    Returns:
        The file, or ``None``: the method has no second network.

    Raises:
        ValueError: its second network is another one.
    """
    network = config.model.get("vfm")
    if network is None:
        return None
    if network["type"] != "DINO":
        raise ValueError(f"--against compares methods with DINO, but model.vfm is {network['type']}.")
    named = _NAME.search(network.get("pretrained", "vitb8"))
    if named is None:
        raise ValueError(
            "--against makes a random DINO ViT-B/8 or ViT-B/16, but model.vfm.pretrained is"
            f" {network['pretrained']!r}: take facebook/dino-vitb8 or facebook/dino-vitb16."
        )
    torch.save(random_dino(patch=int(named[1])), path)
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


@contextmanager
def instead_of_downloads(dino: Path | None, hub: Path | None) -> Iterator[None]:
    """While this lasts, what official code downloads by ``torch.hub`` is the random DINO.

    Args:
        dino: its file.
        hub: a checkout of facebookresearch/dino, for code that asks for a network by name.
    """
    if dino is None:
        yield
        return
    tensors = torch.load(dino, weights_only=True)

    def load(repository: str, name: str, **_: object) -> nn.Module:
        if hub is None:
            raise ValueError(f"--against: this method takes {name} of {repository} from torch.hub. {HUB_REMEDY}")
        return _named(open_hub(hub), name, tensors)

    with ExitStack() as stack:
        stack.enter_context(patch.object(torch.hub, "load", load))
        stack.enter_context(patch.object(torch.hub, "load_state_dict_from_url", lambda *_, **__: tensors))
        yield


def open_hub(folder: Path) -> Repository:
    """A checkout of facebookresearch/dino.

    Raises:
        FileNotFoundError: no such folder, or another one.
    """
    repository = Repository(folder, "--hub")
    if not (repository.folder / "hubconf.py").is_file():
        raise FileNotFoundError(f"--hub {repository.folder}: no hubconf.py. Name a checkout of facebookresearch/dino.")
    return repository


def _named(repository: Repository, name: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    with repository.modules():
        network: nn.Module = getattr(importlib.import_module("hubconf"), name)(pretrained=False)
    network.load_state_dict(tensors)
    return network.eval()
