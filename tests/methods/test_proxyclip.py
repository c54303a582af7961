"""ProxyCLIP: the official outputs, windows that are no squares, and what each step is for."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg_tfovss.config import load_config
from mmseg_tfovss.datasets.facts import BENCHMARKS
from mmseg_tfovss.registry import MODELS
from tests.methods import reference
from tests.methods.own_config import CONFIGS, SLIDE, WHOLE
from tests.mini import BLOCKS, PATCH
from tests.parity.cases import TOLERANCE, build_case, check_case, load_case, parity_cases

CASES = parity_cases("proxyclip")
SIZE = (3 * PATCH, 5 * PATCH)


@pytest.fixture
def build(build_own, tiny_weights):
    """ProxyCLIP on the mini CLIP and a tiny DINO of patch 8, in whose features patches differ."""
    vfm = {"type": "DINO", "pretrained": tiny_weights("dino_w32")}

    def build(**options):
        return build_own("ProxyCLIP", **{"test_cfg": WHOLE, "vfm": vfm, **options})

    return build


@pytest.fixture
def images():
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def logits(model, images):
    model.prepare()
    return model.patch_logits(images)


# -- the official code ----------------------------------------------------------------------------------------------


def test_there_are_official_outputs():
    assert len(CASES) >= 3


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if "p-bg-astronaut" in name else ()) for name in CASES]
)
def test_equals_official_code(name, tiny_clip, tiny_weights, tmp_path, monkeypatch):
    settings, official = load_case("proxyclip", name)
    options = settings["options"]
    vfm = {"type": "DINO", "pretrained": tiny_weights(options["vfm"])}
    model = build_case(
        settings, tiny_clip, tmp_path, "ProxyCLIP", vfm=vfm, beta=options["beta"], gamma=options["gamma"]
    )
    seen, look_at = [], model.vfm_features
    monkeypatch.setattr(model, "vfm_features", lambda images: seen.append(look_at(images)) or seen[-1])
    check_case(model, settings, official)
    features = torch.from_numpy(official["vfm_feats"])
    assert (torch.cat(seen)[: len(features)] - features).abs().max() <= TOLERANCE


# -- against loops --------------------------------------------------------------------------------------------------


def bilinear(source, target):
    """Weights (h' w', h w) of values on a grid of h x w places, at h' x w' places."""
    weights = torch.zeros(*target, *source, dtype=torch.float64)
    for row, column in product(range(target[0]), range(target[1])):
        for (y, wy), (x, wx) in product(between(row, target[0], source[0]), between(column, target[1], source[1])):
            weights[row, column, y, x] += wy * wx
    return weights.flatten(2).flatten(0, 1)


def between(index, target, source):
    place = min(max((index + 0.5) * source / target - 0.5, 0), source - 1)
    low = int(place)
    return [(low, 1 - (place - low)), (min(low + 1, source - 1), place - low)]


class Fixed(nn.Module):
    """A network that gives the features that it is made with, on whatever grid they are."""

    def __init__(self, features):
        super().__init__()
        self.given = features

    def own_patches(self, images):
        return images, tuple(self.given.shape[-2:])

    def features(self, images, grid):
        assert grid == tuple(self.given.shape[-2:])
        return self.given.to(images.dtype)


@torch.inference_mode()
def test_equals_a_loop_on_a_window_and_grids_that_are_no_squares(build, mini_state, images):
    """Rows stay rows: of 3 x 5 patches of CLIP and 4 x 6 of the other network."""
    features = torch.randn(2, 7, 4, 6, generator=torch.Generator().manual_seed(1)).double() + 0.3
    model = build(pad_to=None)
    model.vfm = model.companions["vfm"] = Fixed(features)
    model.prepare()
    found = model.double().patch_logits(images.double())
    texts = model.decode_head.text_features
    for index, image in enumerate(images.double()):
        tokens = model.backbone.embed(image[None])
        for block in model.backbone.blocks[:-1]:
            tokens = block(tokens)
        weights = reference.block_weights(mini_state, BLOCKS)
        value = torch.cat([one[0, 1:] for one in reference.qkv(weights, tokens)[2]], dim=1)  # (15, C)
        value = bilinear((3, 5), (4, 6)) @ value  # (24, C)
        patches = F.normalize(features[index].flatten(1).T, dim=1)
        similarity = patches @ patches.T
        scores = (3 * (similarity - 1.2 * similarity.mean())).tolist()
        kept = torch.tensor([[math.exp(score) * (score >= 0) for score in row] for row in scores], dtype=torch.float64)
        attended = kept / kept.sum(dim=1, keepdim=True) @ value
        merged = reference.merge(weights, [part[None] for part in attended.chunk(2, dim=1)])
        unit = F.normalize(model.backbone.project(merged)[0], dim=1)
        torch.testing.assert_close(found[index].flatten(1).T, unit @ texts.T.double(), atol=1e-6, rtol=0)


# -- what each step is for ------------------------------------------------------------------------------------------


def test_the_other_networks_features_decide(build, images):
    """The paper's idea: with other features of the same windows, patches attend to others."""
    model = build()
    found = logits(model, images)
    inner = model.vfm_features
    model.vfm_features = lambda windows: inner(windows).flip(2)
    assert (logits(model, images) - found).abs().max() > 1e-2


@pytest.mark.parametrize("off", [{"beta": 0.0}, {"gamma": 0.01}, {"pad_to": None}], ids=str)
def test_every_option_changes_the_logits(off, build, images):
    options = {"test_cfg": {"mode": "slide", "crop_size": (24, 40), "stride": 24}}
    with torch.inference_mode():
        found, without = (
            build(**options, **other).inference(images, [{"ori_shape": SIZE}] * 2)[0].canvases["logits"].dense()
            for other in ({}, off)
        )
    assert (found - without).abs().max() > 1e-3


def test_logits_lie_on_the_other_networks_grid(build):
    """Of whole patches of either network."""
    image = torch.randn(1, 3, 27, 41, generator=torch.Generator().manual_seed(0))
    assert logits(build(), image).shape[-2:] == (3, 5)
    assert logits(build(test_cfg=SLIDE), image[..., :32]).shape[-2:] == (3, 4)


def test_float32_equals_float64(build, images):
    model = build()
    single = logits(model, images)
    torch.testing.assert_close(logits(model.double(), images.double()).float(), single, atol=1e-4, rtol=0)


def test_an_image_without_any_contrast_has_labels(build):
    """All patches are alike but for their positions; nothing is NaN."""
    assert bool(logits(build(beta=5.0), torch.zeros(1, 3, *SIZE)).isfinite().all())


def test_an_image_smaller_than_the_other_networks_patch_is_refused(build):
    model = build()
    model.vfm.patch_size = 32
    with pytest.raises(ValueError, match=r"An image of 24x40 pixels .* smaller than one 32x32 patch of .*dino_w32"):
        logits(model, torch.zeros(1, 3, *SIZE))


@pytest.mark.parametrize("kind", ["DINOv2Registers", "MAE", "SAM"])
def test_other_networks_give_features_too(kind, build, build_own, images):
    """Each on its own grid: SAM's has 4 x 6 patches of an image that it enlarges to 48 x 80."""
    model = build(vfm={"type": kind, "pretrained": str(build_own.tiny(MODELS.get(kind)))})
    assert bool(logits(model, images).isfinite().all())


# -- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", BENCHMARKS)
def test_configs_have_the_authors_settings(key):
    thresholds = {"voc21": 0.2, "context60": 0.15, "coco_object": 0.25}
    for network, arch, weights in (
        ("vit-b16", "ViT-B-16", "openai"),
        ("vit-l14", "ViT-L-14", "openai"),
        ("vit-h14", "ViT-H-14", "laion2b_s32b_b79k"),
    ):
        config = load_config(CONFIGS / "proxyclip" / f"proxyclip_{network}_{key}.py")
        model = config.model
        assert (config.protocol, model.backbone.arch, model.backbone.pretrained) == ("paper", arch, weights)
        assert model.vfm.to_dict() == {"type": "DINO"}
        head = model.decode_head
        assert (head.logit_scale, head.get("prob_threshold", 0)) == (40, thresholds.get(key, 0))
        assert head.vocabulary == f"{key}_proxyclip"
        assert model.short_side == (448 if key in ("cityscapes", "ade20k", "pc459", "ade847") else 336)
        assert (model.test_cfg.crop_size, model.test_cfg.stride) == (224 if key == "cityscapes" else 336, 112)


def test_defaults_are_those_of_the_code(build_own):
    model = build_own("ProxyCLIP")
    assert (model.beta, model.gamma, model.pad_to, model.whole_upsampling) == (1.2, 3.0, 56, "direct")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": -1}, r"model\.beta must lie in \[0, inf\], but got -1"),
        ({"gamma": 0}, r"model\.gamma must be positive and a number, but got 0"),
        ({"gamma": "x"}, r"model\.gamma must be positive and a number, but got 'x'"),
        ({"vfm": None}, r"ProxyCLIP needs a network: set model\.vfm=dict\(type='\.\.\.'\)"),
        ({"vfm": {"type": "StableDiffusion"}}, r"model\.vfm: StableDiffusion gives no own_patches: take one of .*DINO"),
        ({"vfm": "dino"}, r"model\.vfm must be settings with a type"),
        ({"residual": True}, r"model\.residual and model\.feed_forward have no effect: ProxyCLIP runs its last block"),
    ],
)
def test_wrong_options_are_refused(options, message, build):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_missing_weights_are_named(build, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        build(vfm={"type": "DINO", "pretrained": str(tmp_path / "nowhere.pth")})
