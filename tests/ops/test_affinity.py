"""Aggregation by attention and similar values: rows in chunks against the formulas, and rows that keep nothing."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.ops import affinity
from mmseg_tfovss.ops.affinity import affinity_rows, aggregate, similarity_thresholds

HEADS, COUNT = 2, 30


@pytest.fixture
def drawn():
    """Attention (heads, N, N), values (heads, N, d) and features (N, C)."""
    draw = torch.Generator().manual_seed(0)
    attention = torch.randn(HEADS, COUNT, COUNT, generator=draw).softmax(dim=-1)
    return attention, torch.randn(HEADS, COUNT, 4, generator=draw), torch.randn(COUNT, 5, generator=draw)


def rows_of(attention):
    return lambda rows: attention[:, rows]


def cosines(values):
    return torch.stack([F.cosine_similarity(one[:, None], one[None], dim=-1) for one in values])


@pytest.mark.parametrize("factor", [-1.0, 0.0, 1.2])
@pytest.mark.parametrize("lift", [True, False])
def test_thresholds_are_shared_by_heads(drawn, factor, lift):
    means = factor * cosines(drawn[1]).mean(dim=(0, 2))
    expected = [0.6 if lift and mean < 0 else min(float(mean), 0.9) for mean in means]
    found = similarity_thresholds(drawn[1], factor, lift_negative=lift)
    torch.testing.assert_close(found, torch.tensor(expected))


def test_thresholds_stay_below_a_patchs_similarity_to_itself(drawn):
    alike = drawn[1][:, :1].expand(-1, COUNT, -1)
    assert similarity_thresholds(alike, 3.0, lift_negative=False).tolist() == pytest.approx([0.9] * COUNT)


@pytest.mark.parametrize("elements", [1, 7 * HEADS * COUNT, 1 << 22])
def test_rows_in_chunks_equal_the_whole_matrix(drawn, elements, monkeypatch):
    attention, values, features = drawn
    monkeypatch.setattr(affinity, "_ELEMENTS", elements)
    thresholds = similarity_thresholds(values, 1.2, lift_negative=True)
    kept = torch.where(cosines(values) > thresholds[:, None], attention, 0).mean(dim=0)
    expected = kept / kept.sum(dim=1, keepdim=True)
    steps = list(affinity_rows(rows_of(attention), values, thresholds))
    torch.testing.assert_close(torch.cat([part for _, part in steps]), expected)
    assert (len(steps) == 1) == (elements > COUNT * HEADS * COUNT)
    found = aggregate(features, rows_of(attention), values, thresholds)
    torch.testing.assert_close(found, expected @ features)
    assert not torch.allclose(found, attention.mean(dim=0) @ features, atol=0.1)  # values do have a say


def test_a_row_that_keeps_nothing_keeps_its_patch(drawn):
    attention, values, features = drawn
    attention[:, 3] = 0
    thresholds = similarity_thresholds(values, 1.2, lift_negative=False)
    found = aggregate(features, rows_of(attention), values, thresholds)
    assert torch.equal(found[3], features[3])
    assert found.isfinite().all()


def test_float64_agrees(drawn):
    attention, values, features = (tensor.double() for tensor in drawn)
    thresholds = similarity_thresholds(values, 1.2, lift_negative=False)
    double = aggregate(features, rows_of(attention), values, thresholds)
    single = aggregate(features.float(), rows_of(attention.float()), values.float(), thresholds.float())
    torch.testing.assert_close(single.double(), double, atol=1e-5, rtol=0)
