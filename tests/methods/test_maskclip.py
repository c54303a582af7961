"""MaskCLIP: the official outputs, and patches that do not look at each other."""

import pytest
import torch

from tests.methods import reference
from tests.parity.cases import build_case, check_case, load_case, parity_cases

CASES = parity_cases("maskclip")
GRID = (2, 3)


def test_there_are_official_outputs():
    assert len(CASES) >= 3


@pytest.mark.parametrize("name", CASES)
def test_equals_official_code(name, tiny_clip, tmp_path):
    settings, official = load_case("maskclip", name)
    ignore_residual = settings["options"]["ignore_residual"]
    model = build_case(settings, tiny_clip, tmp_path, "MaskCLIP", ignore_residual=ignore_residual)
    check_case(model, settings, official)


@pytest.mark.parametrize("ignore_residual", [False, True])
def test_last_block_is_values_through_out_proj(ignore_residual, build_method, mini_state):
    tokens = reference.random_tokens(2, GRID)
    weights = reference.last_block_weights(mini_state)
    _, _, value = reference.qkv(weights, tokens)
    expected = reference.merge(weights, value)
    if not ignore_residual:
        expected = tokens + expected
        expected = expected + reference.feed_forward(weights, expected)
    model = build_method("MaskCLIP", ignore_residual=ignore_residual)
    torch.testing.assert_close(reference.run_last_block(model, tokens, GRID), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("kind", "independent"), [("MaskCLIP", True), ("CLIP", False)])
def test_other_patches_have_no_influence(kind, independent, build_method):
    tokens = reference.random_tokens(1, GRID)
    changed = tokens.clone()
    changed[:, [0, 4]] += 1.0 + reference.random_tokens(1, GRID, seed=1)[:, [0, 4]]
    model = build_method(kind)
    before, after = (reference.run_last_block(model, these, GRID) for these in (tokens, changed))
    others = [1, 2, 3, 5, 6]
    assert torch.equal(before[:, others], after[:, others]) is independent
    assert not torch.allclose(before[:, 4], after[:, 4])


def test_residual_is_kept_by_default(build_method):
    assert build_method("MaskCLIP").ignore_residual is False
