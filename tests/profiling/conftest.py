"""Tiny networks in the places of the random ones, and small matrix products."""

from functools import partial

import pytest
import torch

from mmseg_tfovss.profiling import roofline
from mmseg_tfovss.profiling.random_weights import diffusion, dino, networks
from mmseg_tfovss.profiling.random_weights.dino import random_dino

BLOCKS, WIDTH, PATCH, SIDE = 12, 64, 8, 64


@pytest.fixture(autouse=True)
def small_products(monkeypatch):
    """Matrices whose products take no time."""
    monkeypatch.setattr(roofline, "_SIDE_ON_A_CPU", 64)


@pytest.fixture(scope="session")
def twelve_blocks():
    """Weights of a random CLIP with as many blocks as ViT-B/16 has, each of one head."""
    # Here, for open_clip needs our guard of torchvision, and pytest reads this file first if it is given this folder.
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIP(
            embed_dim=32,
            vision_cfg=CLIPVisionCfg(layers=BLOCKS, width=WIDTH, head_width=64, patch_size=PATCH, image_size=SIDE),
            text_cfg=CLIPTextCfg(context_length=77, vocab_size=49408, width=64, heads=1, layers=1),
            quick_gelu=True,
        )
    return model.state_dict()


@pytest.fixture
def tiny_networks(monkeypatch, twelve_blocks):
    """The random networks, but tiny."""
    monkeypatch.setattr(networks, "write_random_clip", lambda path, arch: torch.save(twelve_blocks, path))
    monkeypatch.setattr(dino, "random_dino", partial(random_dino, 64, 2))
    unet = {"sample_size": 8, "block_out_channels": (32, 32, 64, 64), "attention_head_dim": (1, 1, 2, 2)}
    monkeypatch.setattr(diffusion, "_UNET", {**diffusion._UNET, **unet})
    monkeypatch.setattr(diffusion, "_VAE", {**diffusion._VAE, "block_out_channels": (32, 32, 32, 32)})
    diffusion._random_networks.cache_clear()
    yield
    diffusion._random_networks.cache_clear()
