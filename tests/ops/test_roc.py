"""ROC-AUC against scikit-learn, with ties, and by hand."""

import pytest
import torch
from sklearn.metrics import roc_auc_score

from mmseg_tfovss.ops import roc
from mmseg_tfovss.ops.roc import roc_auc


def reference(scores, positive):
    return torch.tensor([roc_auc_score(positive.numpy(), row.numpy()) for row in scores], dtype=torch.float64)


@pytest.mark.parametrize("values", ["continuous", "ties", "signed zeros"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_like_scikit_learn(values, share):
    draw = torch.Generator().manual_seed(0)
    scores = torch.randn(5, 1000, generator=draw)
    if values == "ties":
        scores = (scores * 3).round() / 3
    if values == "signed zeros":
        scores = torch.where(scores.abs() < 1, 0.0 * scores, scores)
    positive = torch.rand(1000, generator=draw) < share
    torch.testing.assert_close(roc_auc(scores, positive), reference(scores, positive), rtol=0, atol=1e-12)


def test_closed_forms():
    positive = torch.tensor([True, True, False, False])
    scores = torch.tensor(
        [[0.9, 0.8, 0.2, 0.1], [0.1, 0.2, 0.8, 0.9], [0.5, 0.5, 0.5, 0.5], [0.9, 0.5, 0.5, 0.1], [0.9, 0.2, 0.5, 0.1]]
    )
    assert roc_auc(scores, positive).tolist() == [1.0, 0.0, 0.5, 0.875, 0.75]


def test_scores_a_bit_apart_are_not_tied():
    one = torch.tensor(1.0)
    above = torch.nextafter(one, torch.tensor(2.0))
    assert roc_auc(torch.stack([above, one]), torch.tensor([True, False])).item() == 1
    assert roc_auc(-torch.stack([above, one]), torch.tensor([True, False])).item() == 0


def test_infinities_are_the_largest_and_the_smallest():
    positive = torch.tensor([True, False, True, False])
    assert roc_auc(torch.tensor([torch.inf, 1e30, -1.0, -torch.inf]), positive).item() == 0.75


def test_any_leading_shape_and_any_chunk(monkeypatch):
    draw = torch.Generator().manual_seed(1)
    scores, positive = torch.rand(2, 3, 50, generator=draw), torch.arange(50) % 3 == 0
    whole = roc_auc(scores, positive)
    monkeypatch.setattr(roc, "_ELEMENTS", 100)
    assert whole.shape == (2, 3)
    assert torch.equal(roc_auc(scores, positive), whole)
    assert roc_auc(scores[0, 0], positive).shape == ()


@pytest.mark.parametrize("label", [True, False])
def test_one_kind_alone_has_no_auc(label):
    with pytest.raises(ValueError, match=r"needs positives and negatives, but \d of 4 labels are positive"):
        roc_auc(torch.rand(4), torch.full((4,), label))


def test_what_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="not a number"):
        roc_auc(torch.tensor([0.1, torch.nan]), torch.tensor([True, False]))
