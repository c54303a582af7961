"""A bench of tiny networks, and images of 64 pixels."""

import pytest
import torch

from mmseg_tfovss.profiling.gpu_report import bench as benches
from mmseg_tfovss.profiling.gpu_report.bench import Bench
from mmseg_tfovss.profiling.noise_image import make_noise_image

SIDE = 64


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
