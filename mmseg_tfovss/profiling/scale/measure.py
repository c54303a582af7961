"""Seconds and memory of one point."""

import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmseg_tfovss.engine.single import build_method, load_image
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.meters import Clock, PeakMemory
from mmseg_tfovss.profiling.noise_image import make_noise_image
from mmseg_tfovss.profiling.random_weights.text import use_random_text
from mmseg_tfovss.profiling.scale.points import Point

STAGES = ("encoder", "after the encoder")


@dataclass(frozen=True)
class Cost:
    """What a point costs.

    Attributes:
        seconds: median of the batch, by stage.
        peak_mib: memory at the highest point, above that of weights, text features and images; NaN where the system
            does not tell.
    """

    seconds: Mapping[str, float]
    peak_mib: float


def measure(settings: Mapping[str, Any], point: Point, device: str, repeats: int) -> Cost:
    """Build a method and label a batch of images; the first, unmeasured pass warms up.

    Words are made up, and their text features are random: the text tower does not run.

    Args:
        settings: the config.
        point: what to measure.
        device: what to run on.
        repeats: measured passes, >= 1.
    """
    config = Config(dict(settings))
    config.model.decode_head.vocabulary = [f"word {number}" for number in range(point.words)]
    config.model.decode_head.background = None
    model = build_method(config, device)
    use_random_text(model)
    model.prepare()
    with tempfile.TemporaryDirectory() as folder:
        original, image = load_image(model, make_noise_image(Path(folder) / "noise.jpg", point.size))
        meta = {"ori_shape": original.shape[:2], "img_path": "noise", "original": original}
        memory = PeakMemory(torch.device(device))
        passes = [time_pass(model, [image] * point.batch, meta, torch.device(device)) for _ in range(repeats + 1)]
    seconds = {stage: statistics.median(laps[stage] for laps in passes[1:]) for stage in STAGES}
    return Cost(seconds, memory.megabytes())


@torch.inference_mode()
def time_pass(
    model: OpenVocabSegmentor, images: list[torch.Tensor], meta: dict[str, Any], device: torch.device
) -> dict[str, float]:
    """Seconds of each stage for a batch of alike images (3, h, w)."""
    clock = Clock(device)
    assemblies = model.inference(images, [meta] * len(images))
    clock.lap(STAGES[0])
    for assembly in assemblies:
        model.labels_of(assembly)
    clock.lap(STAGES[1])
    return clock.laps
