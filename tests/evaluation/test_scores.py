"""Confusion counts and scores, against hand-made numbers and MMSeg's IoUMetric."""

import pytest
import torch
from mmseg.evaluation import IoUMetric

from mmseg_tfovss.evaluation.scores import compute_scores, confusion_counts


def test_hand_computed_scores():
    truth = torch.tensor([0, 0, 0, 1, 1, 255])
    prediction = torch.tensor([0, 0, 1, 1, 0, 1])
    confusion = confusion_counts(prediction, truth, num_classes=3, ignore_index=255)
    assert confusion.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    scores = compute_scores(confusion)
    assert scores.iou[:2].tolist() == pytest.approx([100 * 2 / 4, 100 * 1 / 3])
    assert scores.iou[2].isnan()  # class 2 occurs nowhere
    assert scores.acc[2].isnan()
    assert scores.mIoU == pytest.approx((50 + 100 / 3) / 2)
    assert scores.pAcc == pytest.approx(100 * 3 / 5)
    assert scores.mAcc == pytest.approx((200 / 3 + 50) / 2)
    assert scores.fwIoU == pytest.approx(0.6 * 50 + 0.4 * 100 / 3)


def test_class_predicted_but_absent_from_truth_counts_as_zero_iou():
    scores = compute_scores(confusion_counts(torch.tensor([0, 1]), torch.tensor([0, 0]), 2, 255))
    assert scores.iou.tolist() == [50.0, 0.0]
    assert scores.mAcc == 50.0  # class 1 has no true pixel: no accuracy


@pytest.mark.parametrize(("classes", "ignore_index"), [(7, 255), (300, 65535), (12, 3)])
def test_equals_mmseg(classes, ignore_index):
    draw = torch.Generator().manual_seed(classes)
    truth = torch.randint(0, classes, (40, 50), generator=draw)
    prediction = torch.where(torch.rand(40, 50, generator=draw) < 0.5, truth, torch.randint(0, classes, (40, 50)))
    truth[:5] = ignore_index
    areas = IoUMetric.intersect_and_union(prediction.clone(), truth.clone(), classes, ignore_index)
    reference = IoUMetric.total_area_to_metrics(*(area.double() for area in areas))
    scores = compute_scores(confusion_counts(prediction, truth, classes, ignore_index))
    assert scores.iou.tolist() == pytest.approx((100 * reference["IoU"]).tolist(), nan_ok=True)
    assert scores.acc.tolist() == pytest.approx((100 * reference["Acc"]).tolist(), nan_ok=True)
    assert scores.pAcc == pytest.approx(100 * float(reference["aAcc"]))


def test_label_255_is_a_class_where_another_label_is_ignored():
    truth = torch.full((2, 2), 255)
    confusion = confusion_counts(truth, truth, num_classes=300, ignore_index=65535)
    assert confusion[255, 255] == 4


@pytest.mark.slow
def test_counts_are_exact_beyond_float32():
    big = torch.tensor([[2**24 + 1, 0], [0, 2**24 + 1]])
    assert compute_scores(big + big).pAcc == 100.0
    counts = confusion_counts(
        torch.zeros(2**24 + 1, dtype=torch.uint8), torch.zeros(2**24 + 1, dtype=torch.uint8), 1, 255
    )
    assert counts.item() == 2**24 + 1


@pytest.mark.parametrize(("wrong", "name"), [(5, "annotation"), (-1, "annotation")])
def test_label_outside_the_classes_is_named(wrong, name):
    with pytest.raises(ValueError, match=rf"The {name} holds the label {wrong}, outside 0 .. 2"):
        confusion_counts(torch.tensor([0]), torch.tensor([wrong]), 3, 255)


def test_prediction_outside_the_classes_is_named():
    with pytest.raises(ValueError, match="prediction holds the label 3"):
        confusion_counts(torch.tensor([3]), torch.tensor([0]), 3, 255)


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="differ in size"):
        confusion_counts(torch.zeros(2, 2), torch.zeros(2, 3), 3, 255)


def test_nothing_evaluated_is_an_error():
    with pytest.raises(ValueError, match="No pixel was evaluated"):
        compute_scores(torch.zeros(3, 3, dtype=torch.int64))
