"""How long each stage of a method takes on one image, and what it costs."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmseg_tfovss.engine.single import load_image
from mmseg_tfovss.evaluation.scores import confusion_counts
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.meters import Clock, PeakMemory, TimedSteps
from mmseg_tfovss.profiling.roofline import MatmulRate

STAGES = ("load", "encoder", "upsample+argmax", "metric")
# Parts of inference. A method's class attribute ``complexity_steps: ClassVar[Mapping[str, str]]`` says which of its
# ``timed_steps`` is which part; parts that it does not mention are the stages below, or not there.
COMPONENTS = ("logits", "attention", "distribution", "upsampling")
_STAGE_OF = {"logits": "encoder", "upsampling": "upsample+argmax"}


@dataclass(frozen=True)
class Timing:
    """Cost of one image.

    Attributes:
        seconds: median per stage of :data:`STAGES`.
        steps: median of what each of the method's own ``timed_steps`` takes, which are parts of the stages; 0 for one
            that is not called.
        components: seconds per name of :data:`COMPONENTS`; ``None`` where the method does not have it.
        text_seconds: text features of the vocabulary, once per run.
        windows: windows of the image.
        flops: floating point operations of the encoder on all windows (torch's counter; a multiply-add is 2).
        total_flops: the same of the whole way from the resized image to labels. The counter knows convolutions,
            attention and matrix products, solvers' among them; sums, exponentials and sorting are free.
        parameters: parameters of the image tower.
        all_parameters: of all networks that label an image.
        text_parameters: of the text tower, which is dropped when the text features are there; ``None`` if it had been
            dropped before.
        matmul_rate: GFLOP per second of large matrix products in the same precision, measured between the passes.
        plain_rate: the same of ``torch.matmul`` alone.
        peak_memory_mb: memory at the highest point minus memory before the first image (weights loaded).
        labels: (H, W) class ids, to compare precisions.
    """

    seconds: dict[str, float]
    steps: dict[str, float]
    components: dict[str, float | None]
    text_seconds: float
    windows: int
    flops: int
    total_flops: int
    parameters: int
    all_parameters: int
    text_parameters: int | None
    matmul_rate: float
    plain_rate: float
    peak_memory_mb: float
    labels: Tensor

    @property
    def total_seconds(self) -> float:
        """Of all stages, nothing overlapping."""
        return sum(self.seconds.values())

    @property
    def images_per_second(self) -> float:
        """One image at a time, nothing overlapping."""
        return 1 / self.total_seconds

    @property
    def inference_seconds(self) -> float:
        """From the resized image to its labels."""
        return self.seconds["encoder"] + self.seconds["upsample+argmax"]

    @property
    def encoder_rate(self) -> float:
        """GFLOP per second of the encoder."""
        return self.flops / 1e9 / self.seconds["encoder"]

    @property
    def after_encoder(self) -> float:
        """Share of inference that comes after the encoder."""
        return self.seconds["upsample+argmax"] / self.inference_seconds


@torch.inference_mode()
def time_stages(model: OpenVocabSegmentor, path: Path, repeats: int) -> Timing:
    """Time a method on one image, stage by stage; the first, unmeasured pass warms up.

    Args:
        model: on its device.
        path: image file.
        repeats: measured passes (>= 1); the median is reported.
    """
    device = model.decode_head.query_class.device
    text_parameters = _text_parameters(model)
    start = time.perf_counter()
    model.prepare()
    text_seconds = time.perf_counter() - start
    rate = MatmulRate(device, str(model.common["precision"]))
    memory = PeakMemory(device)
    passes: list[dict[str, float]] = []
    steps, console = TimedSteps(model, device), Console(stderr=True)
    try:
        for _ in track(range(repeats + 1), "passes", console=console, transient=True, disable=not console.is_terminal):
            steps.start()
            clock = Clock(device)
            original, image = load_image(model, path)
            clock.lap("load")
            meta = {"ori_shape": original.shape[:2], "img_path": str(path), "original": original}
            [assembly] = model.inference([image], [meta])
            clock.lap("encoder")
            labels = model.labels_of(assembly)
            clock.lap("upsample+argmax")
            confusion_counts(labels, labels, model.decode_head.num_classes, ignore_index=255)
            clock.lap("metric")
            passes.append(clock.laps)
            rate.measure()
    finally:
        steps.close()
    peak = memory.megabytes()
    seconds, step_seconds = _medians(passes[1:]), _medians(steps.passes[1:])
    # torch's counter has no formula for the CPU's fused attention: count the plain form, which does the same work.
    with sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as counter:
            [assembly] = model.inference([image], [meta])
        with FlopCounterMode(display=False) as rest:
            model.labels_of(assembly)
    return Timing(
        seconds=seconds,
        steps=step_seconds,
        components=_components(model, seconds, step_seconds),
        text_seconds=text_seconds,
        windows=model.window_plan(assembly.scene.resized).count,
        flops=counter.get_total_flops(),
        total_flops=counter.get_total_flops() + rest.get_total_flops(),
        parameters=_count(model.backbone),
        all_parameters=_count(model),
        text_parameters=text_parameters,
        matmul_rate=rate.best,
        plain_rate=rate.plain,
        peak_memory_mb=peak,
        labels=labels.cpu(),
    )


def _medians(passes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(laps[name] for laps in passes) for name in passes[0]}


def _components(
    model: OpenVocabSegmentor, seconds: Mapping[str, float], steps: Mapping[str, float]
) -> dict[str, float | None]:
    """Seconds per component: of the step that the method names for it, else of the stage that always has it."""
    named: Mapping[str, str] = model.complexity_steps
    found: dict[str, float | None] = {}
    for component in COMPONENTS:
        if component in named:
            found[component] = steps.get(named[component]) or None  # not called: this setting goes without
        else:
            stage = _STAGE_OF.get(component)
            found[component] = seconds[stage] if stage else None
    return found


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _text_parameters(model: OpenVocabSegmentor) -> int | None:
    towers: Sequence[nn.Module] = getattr(model.backbone, "_text_tower", ())
    return _count(towers[0]) if towers else None
