"""Random networks in transformers' folder layout: SAM and DINOv2."""

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import torch

from mmseg_tfovss.encoders.hub import quiet
from mmseg_tfovss.encoders.pretrained import no_progress_bar
from mmseg_tfovss.extras import import_extra

# Class here -> the base size on the hub, the classes of transformers, and what differs from their defaults there.
_BASES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "SAM": ("facebook/sam-vit-base", "SamModel", "SamConfig", {}),
    "DINOv2": ("facebook/dinov2-base", "Dinov2Model", "Dinov2Config", {"image_size": 518, "patch_size": 14}),
    "DINOv2Registers": (
        "facebook/dinov2-with-registers-base",
        "Dinov2WithRegistersModel",
        "Dinov2WithRegistersConfig",
        {"image_size": 518, "patch_size": 14},
    ),
}
_NOISE = 0.02  # added to all tensors: positions are zero where nobody has trained them


def take_random_network(network: MutableMapping[str, Any], place: str, folder: Path) -> None:
    """Let a network of a config have random weights of its base size.

    Args:
        network: its settings; changed.
        place: where it is in the config, for messages.
        folder: for its folder, which is written at the first call.

    Raises:
        ValueError: it is of another kind or size.
    """
    base, model, settings, options = _BASES.get(network["type"], ("", "", "", {}))
    if not base or network.get("pretrained", base) != base:
        known = ", ".join(["DINO ViT-B", *(name for name, *_ in _BASES.values())])
        what = network.get("pretrained") or network["type"]
        raise ValueError(f"Random weights are made for {known} and Stable Diffusion 2, but {place} is {what}.")
    path = folder / f"random_{Path(base).name}"
    if not path.is_dir():
        _write(path, model, settings, options)
    network["pretrained"] = str(path)


def _write(folder: Path, model: str, settings: str, options: dict[str, Any]) -> None:
    transformers = import_extra("transformers", "A random network", None)
    with torch.random.fork_rng(devices=[]), quiet(), no_progress_bar():
        torch.manual_seed(0)
        network = getattr(transformers, model)(getattr(transformers, settings)(**options))
        for parameter in network.parameters():
            parameter.data += _NOISE * torch.randn_like(parameter)
        network.save_pretrained(folder)
