"""Random weights in the place of downloads, for a method's own config."""

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmseg_tfovss.encoders.hub import quiet
from mmseg_tfovss.profiling.random_weights.clip import has_quick_gelu, write_random_clip, write_ranking
from mmseg_tfovss.profiling.random_weights.diffusion import RandomStableDiffusion
from mmseg_tfovss.profiling.random_weights.dino import take_random_dino
from mmseg_tfovss.profiling.random_weights.hub_networks import take_random_network
from mmseg_tfovss.profiling.random_weights.regions import share_regions
from mmseg_tfovss.whole_file import whole_file

_COMPANIONS = ("vfm", "sam", "graph")


def take_random_weights(config: Config, folder: Path, image: Path) -> None:
    """Let all networks of a config have random weights, the same ones every time.

    Args:
        config: of a method; changed.
        folder: for the files, which are written at the first call.
        image: that is labelled: CorrCLIP reads its regions from a file, which is made too.

    Raises:
        ValueError: no random weights can be made for one of them.
    """
    model = config.model
    if model.backbone.get("pretrained") == "pocket":
        raise ValueError(f"{config.run_name} has bundled networks, which need no download: leave --random-weights out.")
    arch = model.backbone.arch
    clip = _random_clip(folder / f"random_{arch}.pt", arch)
    model.backbone.update(arch="auto", pretrained=str(clip), quick_gelu=has_quick_gelu(model.backbone))
    for place, owner in {"model": model, "model.base": model.get("base") or {}}.items():
        for name in _COMPANIONS:
            if owner.get(name):
                _take_companion(owner[name], f"{place}.{name}", folder)
    if model.type == "CorrCLIP":
        share_regions(config, image, folder / "regions", torch.device("cpu"))
    if model.type == "LHTCLIP" and model.get("k") != 0:
        path = clip.with_suffix(".json")
        model.ranking = str(path if path.is_file() else write_ranking(path, model.backbone))


def _random_clip(path: Path, arch: str) -> Path:
    if not path.is_file():
        with whole_file(path) as scratch, quiet():
            write_random_clip(scratch, arch)
    return path


def _take_companion(network: MutableMapping[str, Any], place: str, folder: Path) -> None:
    kind = network["type"]
    if kind == "StableDiffusion":
        network.pop("pretrained", None)
        network["type"] = RandomStableDiffusion
    elif kind == "DINO":
        take_random_dino(network, place, folder)
    elif kind != "CLIPGraph":  # which is CLIP's own
        take_random_network(network, place, folder)
