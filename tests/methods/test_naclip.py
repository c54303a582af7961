"""NACLIP: the official outputs, key-key attention and the prior on the neighbourhood."""

import math

import pytest
import torch

from tests.methods import reference
from tests.parity.cases import build_case, check_case, load_case, parity_cases

CASES = parity_cases("naclip")
GRID = (2, 3)


def test_there_are_official_outputs():
    assert len(CASES) >= 6


@pytest.mark.parametrize("name", CASES)
def test_equals_official_code(name, tiny_clip, tmp_path):
    settings, official = load_case("naclip", name)
    options = settings["options"]
    sigma = options["gaussian_std"] if options["attn_strategy"] == "naclip" else None
    check_case(build_case(settings, tiny_clip, tmp_path, "NACLIP", sigma=sigma), settings, official)


def test_defaults_are_those_of_the_paper(build_method):
    model = build_method("NACLIP")
    assert (model.sigma, model.pamr_steps, model.whole_upsampling) == (5.0, 10, "two_step")


@pytest.mark.parametrize("sigma", [5.0, 0.8, None])
def test_last_block_is_key_key_attention_with_prior(sigma, build_method, mini_state):
    tokens = reference.random_tokens(2, GRID)
    weights = reference.last_block_weights(mini_state)
    _, key, value = reference.qkv(weights, tokens)
    bias = torch.zeros(7, 7, dtype=torch.float64)
    if sigma:
        for one in range(6):
            for two in range(6):
                squared = (one // 3 - two // 3) ** 2 + (one % 3 - two % 3) ** 2
                bias[1 + one, 1 + two] = math.exp(-squared / (2 * sigma**2))
    expected = reference.merge(weights, reference.attend(key, key, value, bias))
    found = reference.run_last_block(build_method("NACLIP", sigma=sigma), tokens, GRID)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_prior_changes_the_output(build_method):
    tokens = reference.random_tokens(1, GRID)
    plain, narrow, wide = (
        reference.run_last_block(build_method("NACLIP", sigma=sigma), tokens, GRID) for sigma in (None, 0.5, 5.0)
    )
    assert (plain - wide).abs().max() > 1e-3
    assert (narrow - wide).abs().max() > 1e-3


def test_prior_follows_the_grid(build_method):
    tokens = reference.random_tokens(1, GRID)
    model = build_method("NACLIP", sigma=0.8)
    wide, tall = (reference.run_last_block(model, tokens, grid) for grid in ((2, 3), (3, 2)))
    assert (wide - tall).abs().max() > 1e-3


@pytest.mark.parametrize("sigma", [0, -1.0])
def test_sigma_must_be_positive(sigma, build_method):
    with pytest.raises(ValueError, match=rf"model.sigma must be positive or None, but got {sigma}"):
        build_method("NACLIP", sigma=sigma)
