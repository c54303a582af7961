"""ClearCLIP: the official outputs, and query-query attention without residual and feed-forward."""

import pytest
import torch

from tests.methods import reference
from tests.parity.cases import build_case, check_case, load_case, parity_cases

CASES = parity_cases("clearclip")
GRID = (2, 3)


def test_there_are_official_outputs():
    assert len(CASES) >= 4


@pytest.mark.parametrize("name", CASES)
def test_equals_official_code(name, tiny_clip, tmp_path):
    settings, official = load_case("clearclip", name)
    check_case(build_case(settings, tiny_clip, tmp_path, "ClearCLIP"), settings, official)


def test_last_block_is_query_query_attention_alone(build_method, mini_state):
    tokens = reference.random_tokens(2, GRID)
    weights = reference.last_block_weights(mini_state)
    query, _, value = reference.qkv(weights, tokens)
    attended = reference.merge(weights, reference.attend(query, query, value))
    found = reference.run_last_block(build_method("ClearCLIP"), tokens, GRID)
    torch.testing.assert_close(found, attended, atol=1e-5, rtol=0)
    with_residual = tokens + attended
    with_feed_forward = attended + reference.feed_forward(weights, with_residual)
    for other in (with_residual, with_feed_forward):
        assert (found - other).abs().max() > 0.1
