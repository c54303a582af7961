"""GEM: the official outputs in both forms, self-self attention by hand, and maps stretched to [0, 1]."""

import math

import numpy as np
import PIL
import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.engine.single import segment_file
from tests.methods import reference
from tests.mini import BLOCKS, WIDTH
from tests.parity.cases import (
    FOLDER,
    TOLERANCE,
    build_case,
    build_square_case,
    check_case,
    load_case,
    parity_cases,
    run_case,
)

CASES = parity_cases("gem")
SQUARES = [name for name in CASES if "official" in name]
GRID = (2, 3)
WHOLE = {"mode": "whole"}


def build_square(settings, weights, folder, kind="GEM", **options):
    assert settings["templates"] == ["a photo of a {}."]
    way = {"position_mode": "antialiased", "templates": "photo"}
    if kind == "GEM":
        options |= {name: settings[name] for name in ("gem_depth", "ss_attn_iter", "ss_attn_temp")}
    return build_square_case(settings, weights, folder, kind, **way, **options)


def test_there_are_official_outputs():
    assert len(SQUARES) >= 3
    assert len(CASES) >= 4


@pytest.mark.skipif(
    int(PIL.__version__.split(".")[0]) < 13, reason="recorded with Pillow 13: older ones round resized values otherwise"
)
@pytest.mark.parametrize("name", [*SQUARES[:2], *(pytest.param(name, marks=pytest.mark.slow) for name in SQUARES[2:])])
def test_equals_official_code_on_squares(name, tiny_clip, tmp_path):
    settings, official = load_case("gem", name)
    size = settings["resized_hw"]
    model = build_square(settings, tiny_clip, tmp_path)
    check_case(model, settings, official, size)
    model.normalize = True
    stretched = run_case(model, settings, size)
    assert np.abs(stretched["seg_logits"] - official["minmax"]).max() < TOLERANCE
    assert (stretched["pred"] == official["pred_minmax"]).mean() >= settings["min_label_agreement"]


@pytest.mark.parametrize("name", SQUARES[:1])
def test_the_official_original_path_is_clip(name, tiny_clip, tmp_path):
    settings, official = load_case("gem", name)
    found = run_case(build_square(settings, tiny_clip, tmp_path, "CLIP"), settings, settings["resized_hw"])
    assert np.abs(found["seg_logits"] - official["seg_logits_ori_path"]).max() < TOLERANCE


@pytest.mark.parametrize("name", sorted(set(CASES) - set(SQUARES)))
def test_equals_clearclips_form(name, tiny_clip, tmp_path):
    settings, official = load_case("gem", name)
    ignore = settings["options"]["ignore_residual"]
    backbone = {"position_mode": "antialiased"}
    check_case(
        build_case(settings, tiny_clip, tmp_path, "GEM", ignore_residual=ignore, backbone=backbone), settings, official
    )


def added_by_hand(weights, tokens, iterations, temperature):
    """What a block adds to GEM's path, head by head, in float64."""
    query, key, value = reference.qkv(weights, tokens)
    z = F.layer_norm(tokens, (WIDTH,), weights["ln_1.weight"], weights["ln_1.bias"])
    inverse = z.norm(dim=-1).mean(dim=1)[:, None, None] / 8 if temperature is None else temperature
    heads = []
    for head in range(len(value)):
        total = 0
        for a in (value[head], key[head], query[head]):
            for _ in range(iterations):
                a = a / a.norm(dim=-1, keepdim=True)
                a = (inverse * a @ a.transpose(1, 2)).softmax(dim=-1) @ a
            a = a / a.norm(dim=-1, keepdim=True)
            total = total + (inverse * a @ a.transpose(1, 2)).softmax(dim=-1) @ value[head]
        heads.append(total / 3)
    return reference.merge(weights, heads)


@pytest.mark.parametrize("ignore", [False, True])
@pytest.mark.parametrize(("iterations", "temperature"), [(1, None), (0, None), (3, None), (1, 20.0)])
def test_last_block_is_the_ensemble_of_self_self_attention(iterations, temperature, ignore, build_method, mini_state):
    tokens = reference.random_tokens(2, GRID) * torch.tensor([1.0, 3.0])[:, None, None]
    added = added_by_hand(reference.last_block_weights(mini_state), tokens, iterations, temperature)
    options = {"ss_attn_iter": iterations, "ss_attn_temp": temperature, "ignore_residual": ignore}
    found = reference.run_last_block(build_method("GEM", **options), tokens, GRID)
    torch.testing.assert_close(found, added if ignore else tokens + added, atol=1e-5, rtol=0)


def test_path_begins_where_its_blocks_do(build_method, mini_state):
    """Depth 3: the last two of three blocks; what the first of them gives is CLIP's, and GEM's path only reads it."""
    inputs = torch.randn(1, 3, 16, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model = build_method("GEM", gem_depth=3).double()
    with torch.inference_mode():
        tokens = model.backbone.blocks[0](model.backbone.embed(inputs))
        expected = tokens
        for number in (2, 3):
            weights = reference.block_weights(mini_state, number)
            expected = expected + added_by_hand(weights, tokens, 1, None)
            tokens = model.backbone.blocks[number - 1](tokens)
        found = model.run_blocks(inputs).tokens
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def patch_logits(model):
    inputs = torch.randn(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        model.prepare()
        return model.patch_logits(inputs)


@pytest.mark.parametrize(
    "change",
    [{"gem_depth": 2}, {"ss_attn_iter": 3}, {"ss_attn_temp": 100.0}, {"ignore_residual": True}],
    ids=str,
)
def test_every_option_changes_the_logits(change, build_method):
    usual, changed = patch_logits(build_method("GEM")), patch_logits(build_method("GEM", **change))
    assert (usual - changed).abs().max() > 1e-3


def test_without_self_self_attention_it_is_another_method(build_method):
    assert (patch_logits(build_method("GEM")) - patch_logits(build_method("CLIP"))).abs().max() > 0.05


def test_a_small_tower_has_the_second_path_in_all_blocks(build_method):
    assert build_method("GEM").dual_blocks == BLOCKS
    assert build_method("GEM", gem_depth=BLOCKS + 1).dual_blocks == BLOCKS
    assert build_method("GEM", gem_depth=2).dual_blocks == 1


def assembled(model, *images):
    return model.inference(images, [{"ori_shape": image.shape[1:]} for image in images])


@pytest.mark.parametrize("mode", ["whole", "slide"])
def test_stretched_maps_are_the_plain_ones_from_0_to_1(mode, build_method):
    """Over the whole image, and not window by window; images of a batch do not see each other."""
    cut = WHOLE if mode == "whole" else {"mode": "slide", "crop_size": 32, "stride": 16}
    draw = torch.Generator().manual_seed(0)
    images = [torch.randn(3, 48, 64, generator=draw), torch.randn(3, 56, 40, generator=draw)]
    plain, stretched = (
        [one.canvases["logits"].dense() for one in assembled(build_method("GEM", test_cfg=cut, **way), *images)]
        for way in ({}, {"normalize": True})
    )
    for before, after in zip(plain, stretched, strict=True):
        low, high = before.amin((1, 2), keepdim=True), before.amax((1, 2), keepdim=True)
        torch.testing.assert_close(after, (before - low) / (high - low), atol=1e-4, rtol=0)


def test_a_map_that_is_the_same_everywhere_is_0_when_stretched(build_method):
    model = build_method("GEM", test_cfg=WHOLE, normalize=True)
    model.prepare()
    model.decode_head.text_features[2] = 0
    [one] = assembled(model, torch.randn(3, 48, 64, generator=torch.Generator().manual_seed(0)))
    dense = one.canvases["logits"].dense()
    assert not dense[2].any()
    assert dense[1].max() > 0.99


def test_probabilities_of_stretched_maps_meet_the_threshold(build_method):
    """The README's rule: a softmax over values from 0 to 1, which is at most e / (e + Q - 1)."""
    image = torch.randn(3, 48, 64, generator=torch.Generator().manual_seed(0))
    model = build_method("GEM", test_cfg=WHOLE, normalize=True, decode_head={"logit_scale": 1.0})
    [one] = assembled(model, image)
    plain, best = model.labels_of(one), one.canvases["logits"].dense().softmax(dim=0).amax(dim=0)
    assert best.max() <= math.e / (math.e + 6)
    model.decode_head.prob_threshold = float(best.median()) - 1e-6
    sure = best >= model.decode_head.prob_threshold
    assert torch.equal(model.labels_of(one), plain * sure)
    assert 0.3 < sure.float().mean() < 0.7
    assert (plain[~sure] > 0).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gem_depth": 1}, r"model\.gem_depth must be None or from 2 to 4, for a tower of 3 blocks, but got 1"),
        ({"gem_depth": 5}, r"model\.gem_depth must be None or from 2 to 4, .* but got 5"),
        ({"ss_attn_iter": -1}, r"model\.ss_attn_iter must be a whole number, at least 0, but got -1"),
        ({"ss_attn_iter": 1.5}, r"model\.ss_attn_iter must be a whole number, at least 0, but got 1\.5"),
        ({"ss_attn_temp": 0}, r"model\.ss_attn_temp must be positive or None, but got 0"),
        ({"ignore_residual": 2}, r"model\.ignore_residual must be one of \[True, False\], but got 2"),
        ({"ignore_residual": True, "gem_depth": 3}, r"model\.gem_depth has no effect with model\.ignore_residual=True"),
        ({"normalize": "yes"}, r"model\.normalize must be one of \[True, False\], but got 'yes'"),
    ],
)
def test_settings_out_of_range_are_named(options, message, build_method):
    with pytest.raises(ValueError, match=message):
        build_method("GEM", **options)


def test_a_stretched_image_is_labelled_at_its_own_size(build_method):
    model = build_method("GEM", test_cfg=WHOLE, short_side=32, stretch_to_square=True)
    found = segment_file(model, FOLDER / "images" / "china.png", keep_logits=True, window=(0, 0))
    assert found.pred.shape == found.image.shape[:2] == (240, 320)
    assert found.seg_logits.shape == (7, 240, 320)
    assert found.patch_logits.shape == (7, 4, 4)
