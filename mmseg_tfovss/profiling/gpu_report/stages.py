"""Seconds of a batch in each of the five stages."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any

import torch

from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.methods.stages import Assembly, Scene
from mmseg_tfovss.profiling.gpu_report.deadline import Deadline
from mmseg_tfovss.profiling.meters import Clock

STAGES = ("look", "encode", "assemble", "refine", "label")
AFTER_ENCODER = STAGES[2:]
PREPROCESS = "preprocess"
_FEWEST, _MOST = 2, 10  # passes, after one that warms up


@torch.inference_mode()
def time_batch_stages(
    model: OpenVocabSegmentor, make_batch: Callable[[], Mapping[str, Any]], device: torch.device, deadline: Deadline
) -> dict[str, float]:
    """Median seconds of a batch in each stage; the stages wait for each other.

    Args:
        model: a method on its device.
        make_batch: decoded images and their samples, anew for each pass.
        device: the model's.
        deadline: after which no further pass begins, once there are two.

    Returns:
        Seconds by stage, and those of resizing and normalising the images. What a stage puts off is counted where it
        is computed: logits on pixels, most often, under ``label``.
    """
    passes: list[dict[str, float]] = []
    while len(passes) <= _FEWEST or (len(passes) <= _MOST and not deadline.over()):
        passes.append(_one_pass(model, make_batch(), device))
    return {name: statistics.median(laps[name] for laps in passes[1:]) for name in passes[0]}


def after_encoder_share(seconds: Mapping[str, float]) -> float:
    """Share of the stages' seconds that comes after the encoder and companions."""
    return sum(seconds[name] for name in AFTER_ENCODER) / sum(seconds[name] for name in STAGES)


def _one_pass(model: OpenVocabSegmentor, batch: Mapping[str, Any], device: torch.device) -> dict[str, float]:
    clock = Clock(device)
    data = model.data_preprocessor(dict(batch))
    clock.lap(PREPROCESS)
    scenes = model.see([_scene(model, *pair) for pair in zip(data["inputs"], data["data_samples"], strict=True)])
    clock.lap("look")
    maps = model.encode_scenes(scenes)
    clock.lap("encode")
    assemblies = [Assembly(scene, model.assemble(scene, own)) for scene, own in zip(scenes, maps, strict=True)]
    clock.lap("assemble")
    refined = [model.refined(assembly) for assembly in assemblies]
    clock.lap("refine")
    for scene, found in zip(scenes, refined, strict=True):
        model.label(scene, found)
    clock.lap("label")
    return clock.laps


def _scene(model: OpenVocabSegmentor, image: torch.Tensor, sample: Any) -> Scene:  # noqa: ANN401 - a SegDataSample
    height, width = sample.metainfo["ori_shape"][:2]
    original = sample.metainfo.get("original") if model.reads_original else None
    return Scene(image, (int(height), int(width)), sample.metainfo["img_path"], original=original)
