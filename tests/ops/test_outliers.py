"""Local outlier factors against scikit-learn and loops, and distances against direct differences."""

import pytest
import torch
from sklearn.neighbors import LocalOutlierFactor

from mmseg_tfovss.ops.outliers import largest, local_outlier_factor, nearest_neighbours, radius_ratio, squared_distances


def random_tokens(batch, count, size, seed=0):
    draw = torch.Generator().manual_seed(seed)
    spread = 0.2 + torch.rand(batch, count, 1, generator=draw)  # so that densities differ
    return spread * torch.randn(batch, count, size, generator=draw)


def like_clip(count=60, size=64):
    """Tokens as CLIP's residual stream has them: a few channels that are large in all of them."""
    tokens = random_tokens(2, count, size)
    tokens[..., 3] += 300
    tokens[..., 40] -= 90
    return tokens


def direct(tokens):
    return (tokens[:, :, None] - tokens[:, None]).square().sum(dim=-1)


def test_distances_by_products_are_those_by_differences():
    tokens = like_clip()
    exact = direct(tokens.double())
    found = squared_distances(tokens)
    torch.testing.assert_close(found.double(), exact, atol=1e-3, rtol=1e-5)
    # The plain formula loses what float32 has not: the test above asks for something.
    norms = tokens.square().sum(dim=-1)
    plain = norms[:, :, None] + norms[:, None] - 2 * tokens @ tokens.transpose(1, 2)
    assert (plain.double() - exact).abs().max() > 30 * (found.double() - exact).abs().max()


def test_neighbours_in_float32_are_those_of_direct_differences():
    tokens = like_clip()
    exact = direct(tokens.double())
    exact.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    distances, indices = nearest_neighbours(tokens, 7)
    expected, order = exact.topk(7, largest=False)
    assert torch.equal(indices, order)
    torch.testing.assert_close(distances.double(), expected, atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("neighbours", [1, 5, 30])
def test_factors_are_scikit_learns(neighbours):
    tokens = random_tokens(2, 50, 6).double()
    found = local_outlier_factor(tokens, neighbours)
    for one, expected in zip(found, tokens, strict=True):
        model = LocalOutlierFactor(n_neighbors=neighbours).fit(expected.numpy())
        torch.testing.assert_close(-one, torch.from_numpy(model.negative_outlier_factor_), atol=1e-6, rtol=0)


def test_radius_ratio_token_by_token():
    tokens = random_tokens(2, 20, 4).double()
    found = radius_ratio(tokens, 3)
    for distances, scores in zip(direct(tokens), found, strict=True):
        order = distances.argsort(dim=1)[:, 1:4]  # without the token itself
        radius = [distances[i, order[i, 2]] for i in range(20)]
        expected = [sum(radius[i] / radius[j] for j in order[i]) / 3 for i in range(20)]
        torch.testing.assert_close(scores, torch.stack(expected))


@pytest.mark.parametrize("score", [local_outlier_factor, radius_ratio])
def test_a_token_far_away_has_the_largest_factor(score):
    tokens = random_tokens(3, 40, 5)
    tokens[1, 17] += 9
    assert int(score(tokens, 6)[1].argmax()) == 17
    torch.testing.assert_close(score(tokens, 6)[1:2], score(tokens[1:2], 6))  # a batch is its single ones


@pytest.mark.parametrize("score", [local_outlier_factor, radius_ratio])
def test_few_tokens_and_equal_tokens_have_factors_too(score):
    assert torch.equal(score(torch.ones(2, 1, 3), 5), torch.ones(2, 1))
    for tokens in (torch.zeros(1, 6, 3), torch.tensor([[[0.0], [0], [0], [5], [6]]])):
        assert score(tokens, 2).isfinite().all()
    torch.testing.assert_close(score(torch.zeros(1, 6, 3), 99), torch.ones(1, 6))
    two = torch.tensor([[[0.0], [2.0]]])
    torch.testing.assert_close(score(two, 30), torch.ones(1, 2))


def test_the_largest_are_above_the_quantile():
    scores = torch.arange(20.0).flip(0)[None].repeat(2, 1)
    scores[1] *= -1
    found = largest(scores, 0.1)
    assert found[0].nonzero().flatten().tolist() == [0, 1]
    assert found[1].nonzero().flatten().tolist() == [18, 19]
    assert not largest(scores, 0).any()
