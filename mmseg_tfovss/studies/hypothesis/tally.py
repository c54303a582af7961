"""What the test of DSLO's hypothesis has counted after some images."""

from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from torch import Tensor

from mmseg_tfovss.evaluation.metric import SegmentationMetric
from mmseg_tfovss.registry import METRICS
from mmseg_tfovss.studies.hypothesis.maps import MEASURES, SCENARIOS, Consistency


class Tally:
    """What is known after some images; its size does not depend on how many.

    Args:
        config: its evaluator is used, once per scenario.
        dataset: its classes are used.
    """

    def __init__(self, config: Config, dataset: BaseDataset) -> None:
        self.names = list(dataset.metainfo["classes"])
        self.metrics: dict[str, SegmentationMetric] = {}
        for name in SCENARIOS:
            metric = METRICS.build(dict(config.test_evaluator))
            if not isinstance(metric, SegmentationMetric):
                raise ValueError("test_evaluator must be a SegmentationMetric.")
            metric.dataset_meta = dataset.metainfo
            self.metrics[name] = metric
        self.ignored = (metric.ignore_index, dataset.metainfo.get("ignore_index"))
        self.images = self.labelled = self.patches = self.patches_of_one = 0
        self.maps = torch.zeros(len(self.names), dtype=torch.int64)
        self.consistency = torch.zeros(len(MEASURES), len(self.names), dtype=torch.float64)

    def counts(self, labels: Tensor) -> Tensor:
        """Which pixels (H, W) of an annotation are of a class and not ignored."""
        valid = (labels >= 0) & (labels < len(self.names))
        for ignored in self.ignored:
            if isinstance(ignored, int):
                valid &= labels != ignored
        return valid

    def add_labels(self, scenario: str, labels: Tensor, sample: dict[str, Any]) -> None:
        """Compare labels (H, W) with the annotation of a sample."""
        self.metrics[scenario].process(None, [{**sample, "pred_sem_seg": {"data": labels[None]}}])

    def add_patches(self, mass: Tensor, classes: Tensor) -> None:
        """Count the patches at which masses (N, K) leave one class at most."""
        having = torch.stack([(mass[:, classes == c] > 0).any(dim=1) for c in classes.unique()])
        self.patches += len(mass)
        self.patches_of_one += int((having.sum(dim=0) <= 1).sum())

    def add_consistency(self, found: Consistency) -> None:
        """Take in the measures of one image's classes."""
        classes = found.classes.cpu()
        values = torch.stack([getattr(found, name).double() for name in MEASURES])
        self.consistency.index_add_(1, classes, values.cpu())
        self.maps.index_add_(0, classes, torch.ones_like(classes))

    def summary(self) -> dict[str, Any]:
        """The scores and means of all images."""
        for metric in self.metrics.values():
            metric.evaluate(self.images)
        scores = {name: metric.scores for name, metric in self.metrics.items() if metric.scores is not None}
        measured = self.maps > 0
        means = self.consistency[:, measured] / self.maps[measured]  # (3, classes)
        per_class = {
            name: {scenario: _number(found.iou[index]) for scenario, found in scores.items()}
            for index, name in enumerate(self.names)
        }
        for row, index in enumerate(measured.nonzero().flatten().tolist()):
            per_class[self.names[index]] |= dict(zip(MEASURES, means[:, row].tolist(), strict=True))
        return {
            "images": self.images,
            "unlabelled_images": self.images - self.labelled,
            "patches_of_one_class": self.patches_of_one / self.patches,
            "scenarios": {name: found.summary for name, found in scores.items()},
            "consistency": {
                **{name: _number(mean) for name, mean in zip(MEASURES, means.mean(dim=1), strict=True)},
                "classes": int(measured.sum()),
                "maps": int(self.maps.sum()),
            },
            "per_class": per_class,
        }


def _number(value: Tensor) -> float | None:
    return None if value.isnan() else value.item()
