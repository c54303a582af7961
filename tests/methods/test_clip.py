"""Vanilla CLIP: the official outputs, the block as trained, and the attention alone."""

import pytest
import torch

from tests.methods import reference
from tests.parity.cases import build_case, check_case, load_case, parity_cases

CASES = parity_cases("clip_vanilla")
GRID = (2, 3)


def test_there_are_official_outputs():
    assert len(CASES) >= 4


@pytest.mark.parametrize("name", CASES)
def test_equals_official_code(name, tiny_clip, tmp_path):
    settings, official = load_case("clip_vanilla", name)
    ignore_residual = settings["options"].get("ignore_residual", False)
    model = build_case(settings, tiny_clip, tmp_path, "CLIP", ignore_residual=ignore_residual)
    check_case(model, settings, official)


@pytest.mark.parametrize("ignore_residual", [False, True])
def test_last_block_is_query_key_attention(ignore_residual, build_method, mini_state):
    tokens = reference.random_tokens(2, GRID)
    weights = reference.last_block_weights(mini_state)
    query, key, value = reference.qkv(weights, tokens)
    expected = reference.merge(weights, reference.attend(query, key, value))
    if not ignore_residual:
        expected = tokens + expected
        expected = expected + reference.feed_forward(weights, expected)
    model = build_method("CLIP", ignore_residual=ignore_residual)
    torch.testing.assert_close(reference.run_last_block(model, tokens, GRID), expected, atol=1e-5, rtol=0)


def test_residual_is_kept_by_default(build_method):
    assert build_method("CLIP").ignore_residual is False
