"""Proxy attention against loops, at its limits, and between windows."""

import math

import pytest
import torch

from mmseg_tfovss.ops.proxy import proxy_attention

BETA, GAMMA = 1.2, 3.0


@pytest.fixture
def features():
    return torch.randn(2, 5, 2, 3, generator=torch.Generator().manual_seed(0)) + 0.4


def loop(features, means):
    """A of windows (B, D, h, w), pair by pair, with the mean similarity of each."""
    rows = []
    for window, mean in zip(features, means, strict=True):
        patches = window.flatten(1).T
        for one in patches:
            scores = [GAMMA * (float(one @ other / one.norm() / other.norm()) - BETA * mean) for other in patches]
            kept = [math.exp(score) if score >= 0 else 0.0 for score in scores]
            rows.append([weight / sum(kept) for weight in kept])
    return torch.tensor(rows, dtype=features.dtype).view(len(features), -1, len(patches))


def mean_similarities(features):
    unit = features.flatten(2) / features.flatten(2).norm(dim=1, keepdim=True)
    return [float((window.T @ window).mean()) for window in unit]


def test_equals_a_loop(features):
    features = features.double()
    means = mean_similarities(features)
    assert abs(means[0] - means[1]) > 0.01
    torch.testing.assert_close(proxy_attention(features, BETA, GAMMA), loop(features, means))
    shared = [sum(means) / 2] * 2
    torch.testing.assert_close(proxy_attention(features, BETA, GAMMA, shared_mean=True), loop(features, shared))


def test_some_pairs_are_cut_and_some_are_not(features):
    attention = proxy_attention(features, BETA, GAMMA)
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(2, 6))
    assert 0.2 < float((attention == 0).float().mean()) < 0.8


def test_float32_equals_float64(features):
    torch.testing.assert_close(
        proxy_attention(features, BETA, GAMMA).double(), proxy_attention(features.double(), BETA, GAMMA)
    )


def test_the_features_stay_what_they_were(features):
    before = features.clone()
    proxy_attention(features, BETA, GAMMA)
    assert torch.equal(features, before)


def test_patches_that_are_all_alike_attend_to_themselves():
    """Their mean similarity is 1, which nothing reaches 1.2 times."""
    attention = proxy_attention(torch.ones(1, 4, 2, 2), BETA, GAMMA)
    assert torch.equal(attention, torch.eye(4)[None])


def test_a_single_patch_attends_to_itself():
    assert torch.equal(proxy_attention(torch.ones(3, 4, 1, 1), BETA, GAMMA), torch.ones(3, 1, 1))
