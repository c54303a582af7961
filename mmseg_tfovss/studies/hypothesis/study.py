"""Is the distance to the uniform distribution as good as that to the ground truth? DSLO, Section 3.3 and Figure 3.

This is an analysis and no method: two of its four scenarios look at the annotations, a third at which classes an image
has. Their scores say whether the hypothesis holds, and are no results of any method.

The config's method gives the logits, their normalisation (with NMS and early rejection) and the upsampling; its graph
and mode are not used, nor the thresholds of its head. Scenarios and consistency: :mod:`.maps`. With
``model.theta`` of 0.5 and more, NMS leaves one class at most in every patch: then nothing is left for the
discrepancies to decide, and they agree. ``patches_of_one_class`` in the result says how often; ``model.theta=0``
switches NMS off.
"""

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import Tensor

from mmseg_tfovss.config import config_hash
from mmseg_tfovss.engine.preflight import check_run
from mmseg_tfovss.engine.provenance import git_commit, package_versions
from mmseg_tfovss.engine.single import build_method
from mmseg_tfovss.methods.dslo import DSLO
from mmseg_tfovss.methods.stages import Scene
from mmseg_tfovss.ops.canvas import Canvas
from mmseg_tfovss.ops.labels import label_pixels
from mmseg_tfovss.registry import DATASETS
from mmseg_tfovss.studies.discrepancy.maps import require_dslo
from mmseg_tfovss.studies.discriminability.state import count_down
from mmseg_tfovss.studies.discriminability.study import choose_images
from mmseg_tfovss.studies.discriminability.sums import Options as Sample
from mmseg_tfovss.studies.hypothesis.maps import (
    HEADROOM,
    LOGITS,
    PLAIN,
    ClassScores,
    measure_consistency,
    patch_ground_truth,
    score_scenarios,
)
from mmseg_tfovss.studies.hypothesis.report import write_report
from mmseg_tfovss.studies.hypothesis.tally import Tally
from mmseg_tfovss.studies.true_regions import label_true_regions

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Options:
    """What to look at.

    Attributes:
        max_images: look at this many images, drawn at random; ``None``: all.
        seed: of the draw.
        smoothing: uniform share of the ground truth in "logits -> ground truth", in (0, 1]. The smaller, the more the
            truth decides alone, because mass outside of a class costs log(1 / s): without NMS, the scenario's mIoU on
            pocket scenes is 65 at 0.0001, which is what the annotation itself gives, and 55 at 0.1.
    """

    max_images: int | None = None
    seed: int = 0
    smoothing: float = 0.1

    def __post_init__(self) -> None:
        Sample(max_images=self.max_images, seed=self.seed)
        if not 0 < self.smoothing <= 1:
            raise ValueError(f"--smoothing must lie in (0, 1], but got {self.smoothing}.")


def analyse(
    config: Config, folder: Path, device: str, options: Options | None = None, command: str = ""
) -> dict[str, Any]:
    """Score the scenarios on a config's dataset, and write what was found.

    Args:
        config: of a method of DSLO's kind, with a dataset.
        folder: where the report is written.
        device: where the method runs.
        options: see :class:`Options`.
        command: recorded as it is.

    Returns:
        What ``hypothesis.json`` holds.

    Raises:
        ValueError: another method, an option that does not fit, or a dataset in which no pixel counts.
        FileNotFoundError: missing data or weights.
    """
    options = options or Options()
    require_dslo(config, "hypothesis")
    check_run(config)
    plain = copy.deepcopy(config)
    plain.model.update(mode="kl", graph=None)
    model = build_method(plain, device)
    assert isinstance(model, DSLO)
    with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
        dataset = DATASETS.build(dict(config.test_dataloader.dataset))
        dataset.get_subset_(choose_images(len(dataset), Sample(max_images=options.max_images, seed=options.seed)))
        loader = Runner.build_dataloader({**config.test_dataloader, "dataset": dataset})
        tally = Tally(config, dataset)
    for loaded in count_down(loader, len(loader), config.run_name):
        measure_batch(model, loaded, options.smoothing, tally)
    result = {
        **_provenance(config, model, command),
        **asdict(options),
        **tally.summary(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_report(result, folder)
    return result


@torch.inference_mode()
def measure_batch(model: DSLO, loaded: Mapping[str, Any], smoothing: float, tally: Tally) -> None:
    """Add one batch of a data loader to the tally."""
    data = model.data_preprocessor(loaded)
    samples = data["data_samples"]
    found = model.inference(data["inputs"], [sample.metainfo for sample in samples])
    for assembly, sample in zip(found, samples, strict=True):
        scene = assembly.scene
        base = model.base.refine(scene, assembly.canvases).logits
        logits = base.on_grid(model.backbone.grid(scene.image))
        labels = sample.gt_sem_seg.data[0].to(logits.device)
        grid = (logits.shape[-2], logits.shape[-1])
        truth = patch_ground_truth(labels, tally.counts(labels), grid)
        if truth is None:
            tally.images += 1
            continue
        mass, queries, _ = model.masses(logits.flatten(1).T)
        classes = model.decode_head.query_class[queries]
        scenarios = score_scenarios(mass, classes, truth, smoothing)
        found_labels = {name: label_scores(model, scores, scene, base) for name, scores in scenarios.items()}
        plain = ClassScores(logits.flatten(1).T, model.decode_head.query_class)
        found_labels[PLAIN] = label_scores(model, plain, scene, base)
        found_labels[HEADROOM] = label_true_regions(found_labels[PLAIN], labels)
        for name, one in found_labels.items():
            tally.add_labels(name, one, sample.to_dict())
        tally.add_patches(mass, classes)
        tally.add_consistency(measure_consistency(scenarios[LOGITS], truth))
        tally.images += 1
        tally.labelled += 1


def label_scores(model: DSLO, found: ClassScores, scene: Scene, base: Canvas) -> Tensor:
    """Class ids (H, W) at the original size, the scores upsampled as the config says, beside the base's logits."""
    maps = found.scores.T.unflatten(1, model.backbone.grid(scene.image))
    canvas = model.upsample(maps, scene, base)
    return label_pixels(canvas, found.classes, logit_scale=1.0)


def _provenance(config: Config, model: DSLO, command: str) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "config": config.run_name,
        "config_hash": config_hash(config),
        "overrides": config.overrides,
        "command": command,
        "dataset": str(config.dataset),
        "protocol": config.protocol,
        "theta": model.suppression.theta,
        "upsampling": model.upsampling.upsampling,
        "arch": model.backbone.name,
        "weights_hash": model.backbone.weights_hash,
        "precision": config.model.get("precision", "fp32"),
        "device": model.decode_head.query_class.device.type,
        "vocabulary": model.decode_head.vocabulary.source,
        "vocabulary_hash": model.decode_head.vocabulary.hash,
        "git_commit": git_commit(),
        "versions": package_versions(),
    }
