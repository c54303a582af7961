"""CLIPtrase's own scores, by hand."""

import pytest
import torch

from mmseg_tfovss.evaluation.cliptrase_metric import CLIPtraseMetric, smoothed_scores
from tests.evaluation.test_metric import sample


def test_scores_by_hand():
    # class 2 is predicted once and never true; class 3 does not occur
    confusion = torch.tensor([[3, 1, 0, 0], [0, 4, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    scores = smoothed_scores(confusion)
    ious = [3 / (4 + 3 - 3 + 0.01), 4 / (6 + 5 - 4 + 0.01)]
    assert scores.mIoU == pytest.approx(100 * sum(ious) / 2)
    assert scores.mAcc == pytest.approx(100 * (3 / 4.01 + 4 / 6.01) / 4)  # absent classes count 0
    assert scores.pAcc == pytest.approx(70)
    assert scores.fwIoU == pytest.approx(100 * (0.4 * ious[0] + 0.6 * ious[1]))
    assert scores.iou.isnan().tolist() == [False, False, True, True]
    assert scores.acc[2:].tolist() == [0, 0]


def test_nothing_counted_is_an_error():
    with pytest.raises(ValueError, match="No pixel was evaluated"):
        smoothed_scores(torch.zeros(2, 2))


def test_images_without_label_are_left_out():
    evaluator = CLIPtraseMetric()
    evaluator.dataset_meta = {"classes": ("a", "b")}
    ones = torch.ones(2, 2, dtype=torch.int64)
    labelled, unlabelled = sample(ones, ones), {**sample(1 - ones, ones), "labelled": False}
    evaluator.process(None, [labelled, unlabelled, {**labelled, "labelled": True}])
    assert evaluator.evaluate(3)["seg/pAcc"] == 100
    assert evaluator.total_images == 2
