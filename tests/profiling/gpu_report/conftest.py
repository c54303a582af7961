"""A bench of tiny networks in the places of the random ones, and images of 64 pixels."""

from functools import partial

import pytest
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

from mmseg_tfovss.profiling.benchmark import make_noise_image
from mmseg_tfovss.profiling.gpu_report import bench as benches
from mmseg_tfovss.profiling.gpu_report import diffusion, weights
from mmseg_tfovss.profiling.gpu_report.bench import Bench
from mmseg_tfovss.profiling.official.hub import random_dino

BLOCKS, WIDTH, PATCH, SIDE = 12, 64, 8, 64


@pytest.fixture(scope="session")
def twelve_blocks():
    """Weights of a random CLIP with as many blocks as ViT-B/16 has, each of one head."""
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
    monkeypatch.setattr(weights, "write_random_clip", lambda path, arch: torch.save(twelve_blocks, path))
    monkeypatch.setattr(weights, "random_dino", partial(random_dino, 64, 2))
    unet = {"sample_size": 8, "block_out_channels": (32, 32, 64, 64), "attention_head_dim": (1, 1, 2, 2)}
    monkeypatch.setattr(diffusion, "_UNET", {**diffusion._UNET, **unet})
    monkeypatch.setattr(diffusion, "_VAE", {**diffusion._VAE, "block_out_channels": (32, 32, 32, 32)})
    diffusion._random_networks.cache_clear()
    yield
    diffusion._random_networks.cache_clear()


@pytest.fixture
def bench(tiny_networks, tmp_path):
    """On the CPU."""
    image = make_noise_image(tmp_path / "noise.jpg", (SIDE, SIDE))
    return Bench("ViT-B-16", torch.device("cpu"), image, tmp_path, {"model.short_side": SIDE})


@pytest.fixture
def pretended_gpu(bench, monkeypatch):
    """The same bench with a device that is called ``cuda``, but is the CPU: what asks CUDA's functions runs."""
    build = benches.build_method
    monkeypatch.setattr(benches, "build_method", lambda config, device: build(config, "cpu"))
    nothing = {"synchronize": None, "reset_peak_memory_stats": None, "memory_allocated": 2**20}
    nothing |= {"max_memory_allocated": 3 * 2**20, "get_sync_debug_mode": 0, "set_sync_debug_mode": None}
    for name, value in nothing.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    bench.device = torch.device("cuda")
    return bench
