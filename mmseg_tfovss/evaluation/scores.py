"""Confusion counts of label maps and the four scores computed from them."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from mmseg_tfovss.deferred import refuse_if
from mmseg_tfovss.ops.counting import count_ids


def confusion_counts(prediction: Tensor, truth: Tensor, num_classes: int, ignore_index: int | None) -> Tensor:
    """Count pixels by true and predicted class, exactly (integers), on the device of the inputs.

    Args:
        prediction: class ids 0 .. C - 1, any shape.
        truth: class ids 0 .. C - 1 or ``ignore_index``, same shape.
        num_classes: C.
        ignore_index: pixels with this true label do not count; any number, also one above 255. ``None``: all count.

    Returns:
        (C, C) int64; entry (t, p) counts pixels of true class t predicted as p.

    Raises:
        ValueError: the shapes differ, or an id lies outside the classes (see :mod:`mmseg_tfovss.deferred`).
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"Prediction {tuple(prediction.shape)} and annotation {tuple(truth.shape)} differ in size.")
    valid = torch.ones_like(truth, dtype=torch.bool) if ignore_index is None else truth != ignore_index
    pairs = {name: ids.long() for name, ids in (("annotation", truth), ("prediction", prediction))}
    wrong = {name: valid & ((ids < 0) | (ids >= num_classes)) for name, ids in pairs.items()}
    outside = wrong["annotation"] | wrong["prediction"]
    refuse_if(outside.any(), partial(_outside, pairs, wrong, num_classes, ignore_index))
    # Pixels that do not count have a place of their own: to leave them out, a GPU would have to say how many there are.
    places = (pairs["annotation"] * num_classes + pairs["prediction"]).masked_fill_(~valid | outside, num_classes**2)
    return count_ids(places, num_classes**2 + 1)[:-1].view(num_classes, num_classes)


def _outside(
    ids: dict[str, Tensor], wrong: dict[str, Tensor], num_classes: int, ignore_index: int | None
) -> ValueError:
    """Which label lies outside, and where it was found first."""
    name = next(name for name, places in wrong.items() if bool(places.any()))
    return ValueError(
        f"The {name} holds the label {int(ids[name][wrong[name]][0])}, outside 0 .. {num_classes - 1} of this dataset's"
        f" {num_classes} classes (ignored label: {ignore_index})."
    )


@dataclass(frozen=True)
class Scores:
    """Scores in percent, from all pixels of a dataset.

    Attributes:
        iou: (C,) intersection over union; NaN for classes absent from both truth and prediction.
        acc: (C,) share of a class's true pixels that are found; NaN for classes absent from the truth.
        mIoU: mean of ``iou`` over its numbers.
        pAcc: share of pixels labelled correctly.
        mAcc: mean of ``acc`` over its numbers.
        fwIoU: mean of ``iou`` weighted by the classes' true pixels.
    """

    iou: Tensor
    acc: Tensor
    mIoU: float  # noqa: N815 - the field's names
    pAcc: float  # noqa: N815
    mAcc: float  # noqa: N815
    fwIoU: float  # noqa: N815

    @property
    def summary(self) -> dict[str, float]:
        """The four scores by name."""
        return {"mIoU": self.mIoU, "pAcc": self.pAcc, "mAcc": self.mAcc, "fwIoU": self.fwIoU}


def compute_scores(confusion: Tensor) -> Scores:
    """Scores of confusion counts (C, C), true class first.

    Raises:
        ValueError: no pixel was counted.
    """
    counts = confusion.cpu().double()
    total = counts.sum()
    if total == 0:
        raise ValueError("No pixel was evaluated: every annotation holds the ignored label only.")
    correct, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    iou = 100 * correct / (true + predicted - correct)  # 0 / 0 = NaN: the class does not occur
    acc = 100 * correct / true
    return Scores(
        iou=iou,
        acc=acc,
        mIoU=iou.nanmean().item(),
        pAcc=(100 * correct.sum() / total).item(),
        mAcc=acc.nanmean().item(),
        fwIoU=(iou.nan_to_num() * true / total).sum().item(),
    )
