"""CLIPtrase's correlation against its formula written out, and the two ways to take global patches out."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.ops.correlation import denoise, semantic_correlation


def projections(heads=3, length=7, size=5, dtype=torch.float32):
    draw = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, heads, length, size, generator=draw).to(dtype) for _ in range(3))


def test_cosine_correlation_is_the_mean_over_heads_and_projections():
    expected = torch.zeros(2, 7, 7)
    for vectors in projections():
        for head in vectors.unbind(1):
            expected += F.cosine_similarity(head[:, :, None], head[:, None], dim=-1) / 9
    torch.testing.assert_close(semantic_correlation(projections()), expected, atol=1e-6, rtol=0)


def test_concatenated_heads_are_compared_as_one_vector():
    expected = torch.zeros(2, 7, 7)
    for vectors in projections():
        joined = vectors.transpose(1, 2).flatten(2)
        expected += F.cosine_similarity(joined[:, :, None], joined[:, None], dim=-1) / 3
    found = semantic_correlation(projections(), per_head=False)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert not torch.allclose(found, semantic_correlation(projections()), atol=1e-2)


@pytest.mark.parametrize(("per_head", "size", "parts"), [(True, 5, 9), (False, 15, 3)])
def test_inner_products_are_scaled_as_in_attention(per_head, size, parts):
    expected = sum((v @ v.transpose(-1, -2)).sum(dim=1) for v in projections()) / size**0.5 / parts
    found = semantic_correlation(projections(), "inner", per_head=per_head)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_half_precision_is_compared_in_float32_and_double_stays():
    assert semantic_correlation(projections(dtype=torch.bfloat16)).dtype == torch.float32
    assert semantic_correlation(projections(dtype=torch.float64)).dtype == torch.float64


def test_zero_vectors_give_zeros_and_no_nan():
    zeros = tuple(torch.zeros(1, 2, 4, 3) for _ in range(3))
    assert torch.equal(semantic_correlation(zeros), torch.zeros(1, 4, 4))


def test_class_token_is_subtracted_from_every_row():
    correlation = torch.tensor([[[1.0, 0.3, 0.6], [0.3, 1.0, 0.5], [0.6, 0.5, 1.0]]])
    rows, local = denoise(correlation, "cls_subtraction")
    torch.testing.assert_close(rows, torch.tensor([[[0.7, 0.0], [0.2, 0.4]]]))
    assert local.all()


def test_patches_closer_to_all_others_than_to_themselves_are_global():
    correlation = torch.zeros(1, 4, 4)
    correlation[0, 1:, 1:] = torch.tensor([[0.1, 5.0, 5.0], [5.0, 9.0, 1.0], [5.0, 1.0, 9.0]])
    rows, local = denoise(correlation, "self_weight")
    assert local.tolist() == [[False, True, True]]
    assert torch.equal(rows, correlation[:, 1:, 1:])


def test_self_weight_finds_nothing_among_cosines():
    """w_ii = 1 is the largest cosine, so Eq. 7 keeps every patch."""
    _, local = denoise(semantic_correlation(projections(length=50)), "self_weight")
    assert local.all()


def test_without_denoising_the_patches_rows_stay():
    correlation = semantic_correlation(projections())
    rows, local = denoise(correlation, "none")
    assert torch.equal(rows, correlation[:, 1:, 1:])
    assert local.all()
