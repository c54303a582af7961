"""Attention with relative positions: pair by pair, on grids that are not square, in any number of rows."""

from types import SimpleNamespace

import pytest
import torch
from transformers import SamVisionConfig
from transformers.models.sam.modeling_sam import SamVisionAttention

from mmseg_tfovss.encoders.relative_attention import RelativeAttention, attend


def drawn(*, relative=True):
    """Transformers' own attention with random numbers, for a window of 4 x 4."""
    torch.manual_seed(0)
    config = SamVisionConfig(hidden_size=8, num_attention_heads=2, use_rel_pos=relative, image_size=64, patch_size=16)
    module = SamVisionAttention(config, window_size=0).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return module


def by_hand(module, tokens):
    """Scores of every pair of places, one at a time: (heads, N, N)."""
    height, width = tokens.shape[1:3]
    query, key, _ = module.qkv(tokens[0]).flatten(0, 1).unflatten(1, (3, 2, 4)).unbind(1)
    scores = torch.empty(2, height * width, height * width, dtype=tokens.dtype)
    for head in range(2):
        for one in range(height * width):
            for other in range(height * width):
                down, right = one // width - other // width, one % width - other % width
                q = query[one, head]
                vertical, horizontal = module.rel_pos_h[down + height - 1], module.rel_pos_w[right + width - 1]
                scores[head, one, other] = q @ key[other, head] / 2 + q @ vertical + q @ horizontal
    return scores.softmax(dim=-1)


@torch.inference_mode()
def test_weights_are_those_of_every_pair():
    module, tokens = drawn(), torch.randn(1, 4, 4, 8, dtype=torch.float64)
    attention = RelativeAttention.of(module, tokens)
    expected = by_hand(module, tokens)
    torch.testing.assert_close(attention.weights(slice(None))[0], expected)
    torch.testing.assert_close(attention.weights(slice(3, 7))[0], expected[:, 3:7])
    torch.testing.assert_close(attention.weights(torch.tensor([9, 0]))[0], expected[:, [9, 0]])
    torch.testing.assert_close(attention.output()[0], expected @ attention.value[0])


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("elements", [1, 200, 2**24])
@pytest.mark.parametrize("size", [(4, 4), (3, 5)])
@torch.inference_mode()
def test_a_module_gives_what_transformers_gives(size, elements, relative, monkeypatch):
    monkeypatch.setattr("mmseg_tfovss.encoders.relative_attention._ELEMENTS", elements)
    module, tokens = drawn(relative=relative), torch.randn(2, *size, 8, dtype=torch.float64)
    expected, _ = module(tokens)
    found, nothing = attend(module, tokens)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)  # its softmax is float32
    assert nothing is None


def test_as_many_rows_as_fit_are_in_memory(monkeypatch):
    monkeypatch.setattr("mmseg_tfovss.encoders.relative_attention._ELEMENTS", 2 * 16 * 5)
    attention = RelativeAttention.of(drawn(), torch.randn(1, 4, 4, 8, dtype=torch.float64))
    seen = []
    own = torch.nn.functional.scaled_dot_product_attention
    functional = SimpleNamespace(
        scaled_dot_product_attention=lambda query, *args, **kwargs: (
            seen.append(query.shape[2]) or own(query, *args, **kwargs)
        )
    )
    monkeypatch.setattr("mmseg_tfovss.encoders.relative_attention.F", functional)
    attention.output()
    assert seen == [5, 5, 5, 1]
