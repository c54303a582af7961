"""The scores of CLIPtrase's own evaluation (leaves162/CLIPtrase @ 2b7de61), which differ from MMSegmentation's."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mmseg_tfovss.evaluation.metric import SegmentationMetric
from mmseg_tfovss.evaluation.scores import Scores
from mmseg_tfovss.ops.constants import constant
from mmseg_tfovss.registry import METRICS

_SMOOTHING = 0.01  # added to every denominator


@METRICS.register_module()
class CLIPtraseMetric(SegmentationMetric):
    """mIoU and fwIoU over the classes that occur in the truth, mAcc over all classes, denominators plus 0.01.

    A class that is predicted but never true lowers the others' IoU only; one that is never true counts 0 in mAcc.

    Args:
        relabel: old label -> new label, of the truth; labels that are not named stay.
        unlabelled: an image that holds no other label than these (before the change) does not enter the scores.
        **kwargs: see :class:`SegmentationMetric`.
    """

    def __init__(
        self,
        relabel: Mapping[int, int] | None = None,
        unlabelled: Sequence[int] = (),
        **kwargs: Any,  # noqa: ANN401 - handed on as they are
    ) -> None:
        super().__init__(**kwargs)
        self.relabel, self.unlabelled = dict(relabel or {}), tuple(unlabelled)

    def counts_of(self, sample: dict[str, Any]) -> Tensor:
        """Pixels (C, C) of one image by changed labels; none of an image without a label that counts.

        Such an image was run and belongs to the set.
        """
        truth = changed = sample["gt_sem_seg"]["data"]
        for old, new in self.relabel.items():
            changed = changed.masked_fill(truth == old, new)
        counts = super().counts_of({**sample, "gt_sem_seg": {**sample["gt_sem_seg"], "data": changed}})
        if not self.unlabelled:
            return counts
        labelled = ~torch.isin(truth, constant(self.unlabelled, truth.dtype, truth.device)).all()
        return counts * labelled.to(counts.device)

    def compute_metrics(self, results: list[Tensor]) -> Scores:
        """Scores of summed counts."""
        return smoothed_scores(torch.stack(results).sum(0))


def smoothed_scores(confusion: Tensor) -> Scores:
    """Scores of confusion counts (C, C), true class first.

    Raises:
        ValueError: no pixel was counted.
    """
    counts = confusion.cpu().double()
    hits, true, predicted = counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)
    if not int(confusion.sum()):
        raise ValueError("No pixel was evaluated: every annotation holds the ignored label only.")
    iou = hits / (true + predicted - hits + _SMOOTHING)
    acc = hits / (true + _SMOOTHING)
    present = true > 0
    return Scores(
        iou=100 * iou.masked_fill(~present, torch.nan),
        acc=100 * acc,
        mIoU=100 * float(iou[present].mean()),
        pAcc=100 * float(hits.sum() / counts.sum()),
        mAcc=100 * float(acc.mean()),
        fwIoU=100 * float((true * iou)[present].sum() / true.sum()),
    )
