"""Random weights in the place of downloads, for a method's own config."""

import json
from pathlib import Path

import torch
from mmengine.config import Config

from mmseg_tfovss.encoders.head_ranking import VERSION
from mmseg_tfovss.encoders.hub import quiet
from mmseg_tfovss.encoders.weights import load_clip
from mmseg_tfovss.profiling.gpu_report.diffusion import RandomStableDiffusion
from mmseg_tfovss.profiling.official.hub import random_dino
from mmseg_tfovss.profiling.official.weights import write_random_clip
from mmseg_tfovss.whole_file import whole_file


def take_random_weights(config: Config, folder: Path) -> None:
    """Let all networks of a config have random weights, the same ones every time.

    Args:
        config: of a method; changed.
        folder: for the files, which are written at the first call.
    """
    clip = _random_clip(folder / "random_clip.pt", config.model.backbone.arch)
    config.model.backbone.update(arch="auto", pretrained=str(clip), quick_gelu=True)
    if config.model.type == "LHTCLIP":
        config.model.ranking = str(_ranking(clip.with_suffix(".json"), clip))
    if config.model.get("graph"):
        config.model.graph = {"type": RandomStableDiffusion}
    if config.model.get("vfm"):
        config.model.vfm.pretrained = str(_dino(folder / "random_dino.pth"))


def _random_clip(path: Path, arch: str) -> Path:
    if not path.is_file():
        with whole_file(path) as scratch, quiet():
            write_random_clip(scratch, arch)
    return path


def _dino(path: Path) -> Path:
    if not path.is_file():
        with whole_file(path) as scratch:
            torch.save(random_dino(), scratch)
    return path


def _ranking(path: Path, clip: Path) -> Path:
    """Rank the heads of a random CLIP by their numbers, for none is better than another."""
    if path.is_file():
        return path
    loaded = load_clip("auto", str(clip), quick_gelu=True)
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
