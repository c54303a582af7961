"""The evaluator that MMEngine's test loop feeds."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmseg_tfovss.deferred import checked_at_the_end, tell_if
from mmseg_tfovss.evaluation.scores import Scores, compute_scores, confusion_counts
from mmseg_tfovss.registry import METRICS

_USUALLY_IGNORED = 255  # in every dataset of MMSegmentation
_logger = logging.getLogger(__name__)


@METRICS.register_module()
class SegmentationMetric(BaseMetric):
    """mIoU, pAcc, mAcc and fwIoU in percent, from one matrix of exact counts.

    Every batch adds its counts to a (C, C) int64 matrix on the device of the predictions, and waits for that device
    once; processes add up their matrices once at the end. Nothing is kept per image.

    Args:
        ignore_index: true label that does not count; ``auto`` = what the dataset's ``METAINFO`` says (65535 in the
            16-bit sets, where 255 is a class; ``None`` in COCO-Object, where every pixel counts), else 255.
        prefix: put before the scores' names in MMEngine's own output.

    Raises:
        ValueError: ``ignore_index`` is no label.
    """

    default_prefix = "seg"

    def __init__(self, ignore_index: int | str | None = "auto", prefix: str | None = None) -> None:
        if ignore_index != "auto" and not isinstance(ignore_index, int | None):
            raise ValueError(f"test_evaluator.ignore_index must be a label, None or 'auto', but got {ignore_index!r}.")
        super().__init__(collect_device="cpu", prefix=prefix)
        self.ignore_index = ignore_index
        self.confusion: Tensor | None = None
        self.num_images = 0
        self._hinted = False
        # Results of the last evaluation, over all processes:
        self.scores: Scores | None = None
        self.total_images = 0

    def process(self, data_batch: object, data_samples: Sequence[dict[str, Any]]) -> None:
        """Count one batch.

        Raises:
            ValueError: sizes differ, or a label lies outside the classes; the image is named. The batch does not count.
        """
        with checked_at_the_end():
            counts = [self.counts_of(sample) for sample in data_samples]
        if counts:
            total = torch.stack(counts).sum(dim=0)
            self.confusion = total if self.confusion is None else self.confusion.to(total.device) + total
        self.num_images += len(data_samples)

    def counts_of(self, sample: dict[str, Any]) -> Tensor:
        """Pixels (C, C) of one image, true class first."""
        num_classes, ignored = len(self.dataset_meta["classes"]), self._ignored_label()
        prediction = sample["pred_sem_seg"]["data"].squeeze(0)
        truth = sample["gt_sem_seg"]["data"].squeeze(0).to(prediction.device, non_blocking=True)

        def with_file(error: Exception) -> Exception:
            return ValueError(f"{_file_of(sample)}: {error}") if isinstance(error, ValueError) else error

        with checked_at_the_end(with_file):
            counts = confusion_counts(prediction, truth, num_classes, ignored)
        if ignored == _USUALLY_IGNORED and not self._hinted:
            self._look_for_mask(counts, truth.numel(), _file_of(sample))
        return counts

    def _ignored_label(self) -> int | None:
        usual: int | None = self.dataset_meta.get("ignore_index", _USUALLY_IGNORED)
        if usual is None and self.dataset_meta.get("label_map"):  # evaluated on some classes: MMSeg marks the others
            usual = _USUALLY_IGNORED
        return usual if isinstance(self.ignore_index, str) else self.ignore_index

    def _look_for_mask(self, counts: Tensor, pixels: int, file: object) -> None:
        """Say once if an annotation as it is in its file has class 0 and 255 only, as masks of one class are saved."""
        changed = self.dataset_meta.get("reduce_zero_label") or self.dataset_meta.get("label_map")
        if changed or len(counts) == 1:
            return
        counted = counts.sum()
        only_first = (counts[1:].sum() == 0) & (counted > 0) & (counted < pixels)
        tell_if(only_first, partial(self._hint_at_mask, file))

    def _hint_at_mask(self, file: object) -> None:
        if self._hinted:
            return
        self._hinted = True
        if is_main_process():
            _logger.warning(
                "warning: %s holds no label but 0 and 255, and 255 is ignored, so only its pixels of class 0 (%s)"
                " count: if 255 is meant as a class, write that class's number there.",
                file,
                self.dataset_meta["classes"][0],
            )

    def restore(self, confusion: Tensor, num_images: int) -> None:
        """Go on from the counts (C, C) of so many images, on any device."""
        self.confusion, self.num_images = confusion, num_images

    def evaluate(self, size: int) -> dict[str, float]:
        """Add up all processes' counts and compute the scores; ``size`` is not needed."""
        num_classes = len(self.dataset_meta["classes"])
        confusion = self.confusion
        if confusion is None:  # a process without images still takes part in the sum
            confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        images = torch.tensor(self.num_images, device=confusion.device)
        all_reduce(confusion)
        all_reduce(images)
        self.total_images = int(images)
        self.scores = self.compute_metrics([confusion])
        self.confusion, self.num_images = None, 0  # ready for the next run
        return {f"{self.prefix}/{name}": value for name, value in self.scores.summary.items()}

    def compute_metrics(self, results: list[Tensor]) -> Scores:
        """Scores of summed counts."""
        return compute_scores(torch.stack(results).sum(0))


def _file_of(sample: dict[str, Any]) -> object:
    return sample.get("seg_map_path") or sample.get("img_path")
