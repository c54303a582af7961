"""How long each stage of a method takes on one image, and what it costs."""

import ctypes
import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform
from rich.table import Table
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmseg_tfovss.engine.single import load_image
from mmseg_tfovss.evaluation.scores import confusion_counts
from mmseg_tfovss.methods.base import OpenVocabSegmentor

_CLEAR_REFS = Path("/proc/self/clear_refs")
STAGES = ("load", "encoder", "upsample+argmax", "metric")


@dataclass(frozen=True)
class Timing:
    """Cost of one image.

    Attributes:
        seconds: median per stage of :data:`STAGES`.
        steps: mean of each of the method's own ``timed_steps``, which are parts of the stages.
        text_seconds: text features of the vocabulary, once per run.
        windows: windows of the image.
        flops: floating point operations of the encoder on all windows (torch's counter; a multiply-add is 2).
        parameters: parameters of the image tower.
        peak_memory_mb: memory at the highest point minus memory before the first image (weights loaded).
        labels: (H, W) class ids, to compare precisions.
    """

    seconds: dict[str, float]
    steps: dict[str, float]
    text_seconds: float
    windows: int
    flops: int
    parameters: int
    peak_memory_mb: float
    labels: Tensor

    @property
    def images_per_second(self) -> float:
        """One image at a time, nothing overlapping."""
        return 1 / sum(self.seconds.values())


@torch.inference_mode()
def time_stages(model: OpenVocabSegmentor, path: Path, resize: int | BaseTransform, repeats: int) -> Timing:
    """Time a method on one image, stage by stage; the first, unmeasured pass warms up.

    Args:
        model: on its device.
        path: image file.
        resize: of :func:`mmseg_tfovss.engine.single.config_resize`, or a short side in pixels.
        repeats: measured passes (>= 1); the median is reported.
    """
    device = model.decode_head.query_class.device
    start = time.perf_counter()
    model.prepare()
    text_seconds = time.perf_counter() - start
    memory = _PeakMemory(device)
    seconds: dict[str, list[float]] = {stage: [] for stage in STAGES}
    windows: list[Tensor] = []
    labels = torch.empty(0)
    steps = _time_steps(model, device)
    for _ in range(repeats + 1):
        clock = _Clock(device)
        original, image = load_image(model, path, resize)
        clock.lap("load")
        plan = model.window_plan((image.shape[-2], image.shape[-1]))
        windows = plan.cut(image)
        encoded = torch.stack(model.encode_windows(windows))
        clock.lap("encoder")
        labels = model.label(model.stitch(plan, encoded, image, (original.shape[0], original.shape[1])))
        clock.lap("upsample+argmax")
        confusion_counts(labels, labels, model.decode_head.num_classes, ignore_index=255)
        clock.lap("metric")
        for stage in STAGES:
            seconds[stage].append(clock.laps[stage])
    peak = memory.megabytes()
    for name in steps:
        delattr(model, name)  # the method's own again
    # torch's counter has no formula for the CPU's fused attention: count the plain form, which does the same work.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.encode_windows(windows)
    return Timing(
        seconds={stage: statistics.median(laps[1:]) for stage, laps in seconds.items()},
        steps={name: sum(laps[len(laps) // (repeats + 1) :]) / repeats for name, laps in steps.items()},
        text_seconds=text_seconds,
        windows=len(windows),
        flops=counter.get_total_flops(),
        parameters=sum(parameter.numel() for parameter in model.backbone.parameters()),
        peak_memory_mb=peak,
        labels=labels.cpu(),
    )


def _time_steps(model: OpenVocabSegmentor, device: torch.device) -> dict[str, list[float]]:
    """Have the methods named in ``model.timed_steps`` note the seconds of every call."""
    laps: dict[str, list[float]] = {name: [] for name in model.timed_steps}

    def timed(name: str) -> Callable[..., object]:
        step = getattr(model, name)

        def call(*args: object) -> object:
            clock = _Clock(device)
            result = step(*args)
            clock.lap(name)
            laps[name].append(clock.laps[name])
            return result

        return call

    for name in laps:
        object.__setattr__(model, name, timed(name))
    return laps


def use_random_text(model: OpenVocabSegmentor) -> None:
    """Give the text head random unit features, the same on every call, in place of running the text tower."""
    head = model.decode_head
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(head.out_channels, model.backbone.proj.shape[1], generator=generator)
    head.text_features = F.normalize(features, dim=-1).to(head.query_class.device)


class _Clock:
    """Laps in seconds; waits for the GPU at the end of each."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now


class _PeakMemory:
    """Highest memory since creation, above what was in use then, in MiB: GPU allocations or resident memory (Linux)."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device) / 2**20
        else:
            self._before = float("nan")  # "nan" is reported where Linux's counters are missing or closed
            if not os.access(_CLEAR_REFS, os.W_OK):
                return
            gc.collect()
            ctypes.CDLL(None).malloc_trim(
                0
            )  # hands back what earlier models have left, so that it is not reused unseen
            _CLEAR_REFS.write_text("5")  # resets VmHWM
            self._before = _status_mb("VmRSS")

    def megabytes(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20 - self._before
        return float("nan") if math.isnan(self._before) else _status_mb("VmHWM") - self._before


def _status_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 2**10


def make_noise_image(path: Path, size: Sequence[int]) -> Path:
    """Write a JPEG of smooth random colours, the same on every call, and return its path.

    Args:
        path: file to write.
        size: height and width in pixels.
    """
    height, width = size
    coarse = np.random.default_rng(0).integers(0, 256, (height // 32 + 1, width // 32 + 1, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return path


def benchmark_table(title: str, timings: Mapping[str, Timing]) -> Table:
    """One column per precision; labels are compared with the first one's."""
    table = Table(title=title)
    table.add_column("")
    for precision in timings:
        table.add_column(precision, justify="right")
    reference = next(iter(timings.values()))
    columns = [_cells(timing, reference) for timing in timings.values()]
    for name in columns[0]:
        table.add_row(name, *(cells[name] for cells in columns))
    return table


def _cells(timing: Timing, reference: Timing) -> dict[str, str]:
    after = timing.seconds["upsample+argmax"] / timing.seconds["encoder"]
    same = (timing.labels == reference.labels).double().mean().item()
    return {
        **{f"{stage} (s)": f"{timing.seconds[stage]:.3f}" for stage in STAGES},
        **{f"of which {name} (s)": f"{seconds:.3f}" for name, seconds in timing.steps.items()},
        "total (s)": f"{sum(timing.seconds.values()):.3f}",
        "images / s": f"{timing.images_per_second:.2f}",
        "upsample+argmax / encoder": f"{100 * after:.1f} %",
        "text features, once (s)": f"{timing.text_seconds:.2f}",
        "windows": str(timing.windows),
        "encoder GFLOP": f"{timing.flops / 1e9:.1f}",
        "encoder GFLOP / s": f"{timing.flops / 1e9 / timing.seconds['encoder']:.0f}",
        "image tower parameters (M)": f"{timing.parameters / 1e6:.1f}",
        "peak memory above weights (MiB)": f"{timing.peak_memory_mb:.0f}",
        "labels as in first column": f"{100 * same:.2f} %",
    }
