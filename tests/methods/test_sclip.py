"""SCLIP: the official outputs, and query-query plus key-key attention."""

import pytest
import torch

from tests.methods import reference
from tests.parity.cases import build_case, check_case, load_case, parity_cases

CASES = parity_cases("sclip")
GRID = (2, 3)


def test_there_are_official_outputs():
    assert len(CASES) >= 6


@pytest.mark.parametrize("name", CASES)
def test_equals_official_code(name, tiny_clip, tmp_path):
    settings, official = load_case("sclip", name)
    check_case(build_case(settings, tiny_clip, tmp_path, "SCLIP"), settings, official)


def test_last_block_adds_query_query_and_key_key_attention(build_method, mini_state):
    tokens = reference.random_tokens(2, GRID)
    weights = reference.last_block_weights(mini_state)
    query, key, value = reference.qkv(weights, tokens)
    both = zip(reference.attend(query, query, value), reference.attend(key, key, value), strict=True)
    expected = tokens + reference.merge(weights, [one + two for one, two in both])
    expected = expected + reference.feed_forward(weights, expected)
    found = reference.run_last_block(build_method("SCLIP"), tokens, GRID)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_last_block_differs_from_clip(build_method):
    tokens = reference.random_tokens(1, GRID)
    found = reference.run_last_block(build_method("SCLIP"), tokens, GRID)
    assert (found - reference.run_last_block(build_method("CLIP"), tokens, GRID)).abs().max() > 0.1
