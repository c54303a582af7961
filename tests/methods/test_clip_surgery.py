"""CLIP Surgery: the official outputs, the second path and its class token, and feature surgery in closed form."""

import math

import numpy as np
import pytest
import torch

from mmseg_tfovss.methods.clip_surgery import subtract_redundant
from tests.methods import reference
from tests.mini import BLOCKS
from tests.parity.cases import TOLERANCE, build_square_case, check_case, load_case, parity_cases, run_case

CASES = parity_cases("clip_surgery")
GRID = (2, 3)


def build_square(settings, weights, folder, **options):
    assert settings["templates"].startswith("85 ")
    way = {"position_mode": "bilinear", "templates": "imagenet85"}
    return build_square_case(settings, weights, folder, "CLIPSurgery", **way, **options)


def test_there_are_official_outputs():
    assert len(CASES) >= 2


@pytest.mark.parametrize("name", CASES)
def test_equals_official_code(name, tiny_clip, tmp_path):
    settings, official = load_case("clip_surgery", name)
    model = build_square(settings, tiny_clip, tmp_path)
    check_case(model, settings, official)
    model.normalize = True
    stretched = run_case(model, settings)
    assert np.abs(stretched["seg_logits"] - official["minmax"]).max() < TOLERANCE
    assert (stretched["pred"] == official["pred_minmax"]).mean() >= settings["min_label_agreement"]


@pytest.mark.parametrize("name", CASES[:1])
def test_plain_cosines_and_the_single_text_equal_official_code(name, tiny_clip, tmp_path):
    settings, official = load_case("clip_surgery", name)
    plain = run_case(build_square(settings, tiny_clip, tmp_path, feature_surgery=False), settings)
    assert np.abs(plain["patch_logits"] - official["patch_cosine"]).max() < TOLERANCE
    single = run_case(build_square(settings, tiny_clip, tmp_path, subtracted_text=""), settings)
    assert np.abs(single["patch_logits"][0] - official["single_text"]).max() < TOLERANCE
    assert np.abs(single["patch_logits"] - plain["patch_logits"]).max() > 0.01


def test_a_single_word_is_refused_with_what_helps(build_method):
    """Less its mean over one text, every similarity is 0."""
    assert not subtract_redundant(torch.rand(1, 3, 1)).any()
    one = {"vocabulary": ["cat"]}
    with pytest.raises(ValueError, match=r'of a single one: set model\.decode_head\.subtracted_text="", or give a sec'):
        build_method("CLIPSurgery", decode_head=one)
    for options in ({"decode_head": {**one, "subtracted_text": ""}}, {"decode_head": one, "feature_surgery": False}):
        build_method("CLIPSurgery", **options)
    build_method("CLIPSurgery", decode_head={"vocabulary": ["cat, kitten"]})  # two texts


def test_last_block_has_patches_of_one_path_and_the_class_token_of_the_other(build_method, mini_state):
    tokens = reference.random_tokens(2, GRID)
    weights = reference.last_block_weights(mini_state)
    query, key, value = reference.qkv(weights, tokens)
    clips = tokens + reference.merge(weights, reference.attend(query, key, value))
    clips = clips + reference.feed_forward(weights, clips)
    second = tokens + reference.merge(weights, reference.attend(value, value, value))
    found = reference.run_last_block(build_method("CLIPSurgery"), tokens, GRID)
    torch.testing.assert_close(found[:, :1], clips[:, :1], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:, 1:], second[:, 1:], atol=1e-5, rtol=0)


def test_feature_surgery_is_the_literal_one(build_method):
    """The paper's: elementwise products of all channels, weighted, less their mean over the texts."""
    draw = torch.Generator().manual_seed(0)
    features, texts = torch.randn(2, 6, 32, generator=draw).double(), torch.randn(5, 32, generator=draw).double()
    features, texts = (torch.nn.functional.normalize(vectors, dim=-1) for vectors in (features, texts))
    probability = (2 * features[:, :1] @ texts.T).softmax(dim=-1)  # (B, 1, C)
    weights = probability / probability.mean(dim=-1, keepdim=True)
    products = features[:, :, None] * texts * weights[..., None]  # (B, 1 + N, C, D)
    expected = (products - products.mean(dim=2, keepdim=True)).sum(dim=-1)
    torch.testing.assert_close(subtract_redundant(features @ texts.T), expected)


def test_surgery_by_hand():
    """The class token is ln 3 / 2 nearer to the first of two texts: weights 3/2 and 1/2."""
    cosines = torch.tensor([[[0.5 * math.log(3), 0.0], [0.4, 0.8], [0.2, 0.6]]])
    found = subtract_redundant(cosines)[0, 1:]
    torch.testing.assert_close(found, torch.tensor([[0.1, -0.1], [0.0, 0.0]]), atol=1e-6, rtol=0)


def logits_and_labels(model, *images):
    found = model.inference(images, [{"ori_shape": image.shape[1:]} for image in images])
    return [(model.dense_logits(one), model.labels_of(one)) for one in found]


@pytest.mark.parametrize("change", [{"feature_surgery": False}, {"dual_blocks": 1}, {"normalize": True}], ids=str)
def test_every_option_changes_logits_and_labels(change, build_method):
    image = torch.randn(3, 48, 64, generator=torch.Generator().manual_seed(0))
    [(usual, labels)] = logits_and_labels(build_method("CLIPSurgery"), image)
    [(changed, others)] = logits_and_labels(build_method("CLIPSurgery", **change), image)
    assert (usual - changed).abs().max() > 1e-3
    assert not torch.equal(labels, others)


def test_every_image_and_window_has_the_weights_of_its_own_class_token(build_method):
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 32, 32, generator=draw)
    model, plain = build_method("CLIPSurgery"), build_method("CLIPSurgery", feature_surgery=False)
    with torch.inference_mode():
        model.prepare()
        plain.prepare()
        surgery, cosines = model.patch_logits(images), plain.patch_logits(images)
        tokens = plain.backbone.project(plain.run_blocks(images).tokens)[:, 0]
    of_class_token = torch.cosine_similarity(tokens[:, None], plain.decode_head.text_features, dim=-1)  # (2, Q)
    probability = (2 * of_class_token).softmax(dim=-1)
    weighted = (probability / probability.mean(dim=-1, keepdim=True))[..., None, None] * cosines
    torch.testing.assert_close(surgery, weighted - weighted.mean(dim=1, keepdim=True), atol=1e-5, rtol=0)
    assert (probability[0] - probability[1]).abs().max() > 1e-3


def test_stretched_maps_reach_from_0_to_1(build_method):
    model = build_method("CLIPSurgery", normalize=True)
    with torch.inference_mode():
        model.prepare()
        maps = model.patch_logits(torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0)))
    assert maps.amin((2, 3)).abs().max() < 1e-6
    assert (maps.amax((2, 3)) - 1).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dual_blocks": BLOCKS + 1}, r"model\.dual_blocks must be None or from 1 to 3, for a tower of 3 blocks, but"),
        ({"feature_surgery": None}, r"model\.feature_surgery must be one of \[True, False\], but got None"),
        ({"normalize": 3}, r"model\.normalize must be one of \[True, False\], but got 3"),
        (
            {"feature_surgery": False, "decode_head": {"subtracted_text": ""}},
            r"model\.feature_surgery=False and model\.decode_head\.subtracted_text contradict each other",
        ),
    ],
)
def test_settings_out_of_range_are_named(options, message, build_method):
    with pytest.raises(ValueError, match=message):
        build_method("CLIPSurgery", **options)
