"""Attention of the last block, against explicit softmax and hand-computed priors."""

import math

import pytest
import torch

from mmseg_tfovss.ops.attention import (
    Scores,
    attend_above_mean,
    attention_sum,
    cosine_correlation,
    gaussian_neighbourhood,
    self_correlation,
)


def random_heads(seed):
    return torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("with_bias", [False, True])
def test_self_correlation_is_softmax_of_scaled_products(with_bias):
    tokens, value = random_heads(0), random_heads(1)
    bias = torch.randn(5, 5, generator=torch.Generator().manual_seed(2)) if with_bias else None
    expected = torch.zeros_like(value)
    for batch in range(2):
        for head in range(3):
            scores = tokens[batch, head] @ tokens[batch, head].T / math.sqrt(4)
            if bias is not None:
                scores = scores + bias
            weights = scores.exp() / scores.exp().sum(dim=1, keepdim=True)
            expected[batch, head] = weights @ value[batch, head]
    torch.testing.assert_close(self_correlation(tokens, value, bias), expected)


def test_cosine_correlation_is_softmax_of_cosines_at_the_temperature_of_each_image():
    tokens, value, inverse = random_heads(0), random_heads(1), torch.tensor([0.5, 7.0], dtype=torch.float64)
    found = cosine_correlation(tokens, value, inverse)
    for batch in range(2):
        for head in range(3):
            rows = tokens[batch, head]
            cosines = torch.cosine_similarity(rows[:, None], rows[None], dim=-1)
            weights = (cosines * inverse[batch]).softmax(dim=-1)
            torch.testing.assert_close(found[batch, head], weights @ value[batch, head])


def test_cosine_correlation_does_not_see_lengths():
    tokens, value, inverse = random_heads(0), random_heads(1), torch.ones(2, dtype=torch.float64)
    lengths = 1 + torch.arange(5, dtype=torch.float64)[:, None]
    expected = cosine_correlation(tokens, value, inverse)
    torch.testing.assert_close(cosine_correlation(lengths * tokens, value, inverse), expected)


def test_gaussian_of_a_2x3_grid_by_hand():
    """sigma^2 = 1/2, so the prior is exp(-squared distance); patches 0 1 2 over 3 4 5 after the class token."""
    one, two, four, five = (math.exp(-squared) for squared in (1, 2, 4, 5))
    expected = torch.tensor(
        [
            [0, 0, 0, 0, 0, 0, 0],
            [0, 1, one, four, one, two, five],
            [0, one, 1, one, two, one, two],
            [0, four, one, 1, five, two, one],
            [0, one, two, five, 1, one, four],
            [0, two, one, two, one, 1, one],
            [0, five, two, one, four, one, 1],
        ]
    )
    torch.testing.assert_close(gaussian_neighbourhood((2, 3), math.sqrt(0.5)), expected)


@pytest.mark.parametrize("sigma", [0.3, 5.0])
def test_gaussian_widens_with_sigma(sigma):
    prior = gaussian_neighbourhood((1, 3), sigma)
    assert prior.dtype == torch.float32
    torch.testing.assert_close(prior[1, 3].item(), math.exp(-4 / (2 * sigma**2)), atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("factor", [1.0, 0.6, 0.0])
@pytest.mark.parametrize("with_prior", [False, True])
def test_attention_sum_is_a_sum_of_softmaxes(with_prior, factor):
    query, key, value = (random_heads(seed) for seed in range(3))
    draw = torch.Generator().manual_seed(3)
    bias = torch.randn(5, 5, generator=draw, dtype=torch.float64)
    prior = torch.randn(2, 1, 5, 5, generator=draw, dtype=torch.float64) if with_prior else None
    added = 0 if prior is None else prior
    one = (factor * query @ key.transpose(-1, -2) / math.sqrt(4) + added).softmax(dim=-1) @ value
    two = (factor * key @ key.transpose(-1, -2) / math.sqrt(4) + bias + added).softmax(dim=-1) @ value
    found = attention_sum([Scores(query, key), Scores(key, key, bias)], value, factor=factor, prior=prior)
    torch.testing.assert_close(found, one + two)


def test_attention_above_the_mean_row_by_row():
    similarity = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    similarity = (similarity + similarity.transpose(1, 2)) / 2 + torch.eye(5)
    found = attend_above_mean(similarity, 3.0)
    for weights, scores in zip(found, similarity, strict=True):
        exponents = (3 * (scores - scores.mean())).exp() * (scores >= scores.mean())
        assert (exponents == 0).any()
        torch.testing.assert_close(weights, exponents / exponents.sum(dim=1, keepdim=True))


def test_attention_above_the_mean_of_equal_tokens_is_numbers():
    """Their mean may come out above all of them."""
    similarity = torch.full((1, 196, 196), 0.99999994)
    weights = attend_above_mean(similarity + 1e-7 * torch.rand(1, 196, 196), 3.0)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(1, 196))
    lowest = attend_above_mean(torch.tensor([[[0.1, 0.1], [0.9, 0.9]]]), 3.0)
    torch.testing.assert_close(lowest[0], torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
