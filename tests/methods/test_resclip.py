"""ResCLIP: the official outputs, both passes against their formulas, what each part is for, and what can be a base."""

import inspect
import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.cli import parse_options
from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.single import load_image
from mmseg_tfovss.evaluation.setting import setting_of
from mmseg_tfovss.methods.around import AroundMethod
from mmseg_tfovss.methods.naclip import NACLIP
from mmseg_tfovss.methods.resclip import Feedback, ResCLIP, _read_layers
from mmseg_tfovss.methods.sclip import SCLIP
from mmseg_tfovss.ops.attention import gaussian_neighbourhood
from mmseg_tfovss.ops.feedback import label_affinity
from tests.methods import reference
from tests.methods.test_lht_clip import SLIDE, WHOLE, images, outputs, patch_logits
from tests.mini import BLOCKS, PATCH, WIDTH
from tests.parity.cases import FOLDER, build_case, check_case, load_case, parity_cases

CONFIGS = Path(__file__).parents[2] / "configs"
CASES = parity_cases("resclip")
BASES = ("NACLIP", "SCLIP", "ClearCLIP", "CLIP")
OFFICIAL_BASES = {
    "resclip": "NACLIP",
    "sclip": "SCLIP",
    "clearclip": "ClearCLIP",
    "naclip": "NACLIP",
    "vanilla": "CLIP",
}
OFF = {"rcs_weights": None, "feedback": False}
GRID = (4, 6)


@pytest.fixture(scope="module")
def build(build_method):
    """ResCLIP around a base on the mini CLIP, with labels that are sure of themselves."""

    def build(base="NACLIP", **options):
        base = {"type": base} if isinstance(base, str) else base
        sure = {} if options.get("feedback") is False else {"label_threshold": 0.15}
        return build_method("ResCLIP", **{"base": base, **sure, **options})

    return build


def watched(model):
    """The labels and priors that a model makes from now on, the last ones under their names."""
    seen = {}
    for name in ("first_labels", "feedback_prior"):
        step = getattr(model, name)

        def note(*args, name=name, step=step):
            seen[name] = step(*args)
            return seen[name]

        object.__setattr__(model, name, note)
    return seen


# -- the official code ----------------------------------------------------------------------------------------------


def official_case(name, tiny_clip, folder, **others):
    """Our model for a case, its settings, and the official arrays."""
    settings, official = load_case("resclip", name)
    options, base = settings["options"], {"type": OFFICIAL_BASES[settings["options"]["attn_strategy"]]}
    if base["type"] == "NACLIP":
        base["sigma"] = options["gaussian_std"]
    own = {
        "residual": options["arch"] == "w_resi",
        "feed_forward": options["arch"] == "w_resi",
        "rcs_weights": options["attn_rcs_weights"],
        "sfr_weights": options["attn_sfr_weights"],
        "sfr_sigma": options["gaussian_std"],
        "label_threshold": options["temp_thd"],
        "sfr_decay": options["delete_same_entity"],
        "label_pamr_steps": options["inner_pamr"]["steps"],
        "label_pamr_dilations": options["inner_pamr"]["dilations"],
    }
    return build_case(settings, tiny_clip, folder, "ResCLIP", base=base, **{**own, **others}), settings, official


def test_there_are_official_outputs():
    assert len(CASES) >= 5


@pytest.mark.parametrize("name", CASES)
def test_equals_official_code(name, tiny_clip, tmp_path):
    """With the labels of pass 1 and the prior, before it was divided by its largest entry, of the window."""
    model, settings, official = official_case(name, tiny_clip, tmp_path)
    seen = watched(model)
    check_case(model, settings, official)
    assert np.array_equal(seen["first_labels"][0].numpy(), official["pass1_patch_labels"])
    prior = seen["feedback_prior"][0, 0]
    rows = F.normalize(prior, p=1, dim=1).numpy()[::13, ::13]
    assert prior.max() == 1
    assert rows.shape == official["sfr_sub13"].shape
    assert np.abs(rows - official["sfr_sub13"]).max() <= 1e-6


@pytest.mark.parametrize(
    "other",
    [
        {"official_quirks": False},
        {"sfr_decay": False},
        {"rcs_layers": (5, 9)},
        {"label_pamr_steps": 0},
        {"sfr_sigma": 3.0},
        {"label_threshold": 0.6},
        {"rcs_weights": None},
    ],
    ids=str,
)
def test_the_official_code_has_each_of_its_settings(other, tiny_clip, tmp_path):
    """Another value of any of them gives other logits of the window."""
    model, settings, official = official_case("resclip-bg-astronaut", tiny_clip, tmp_path, **other)
    _, image = load_image(model, FOLDER / settings["image"])
    found = patch_logits(model, image[None, :, :224, :224])[0].numpy()
    assert np.abs(found - official["patch_logits"]).max() > 10 * settings["tol_logits"]


# -- both passes by hand --------------------------------------------------------------------------------------------


def embedded(model, inputs, state, number):
    """Images through the blocks before a number, one head at a time, in float64; and the attention of each block."""
    tokens, attention = model.backbone.embed(inputs), {}
    for index in range(1, number):
        weights = reference.block_weights(state, index)
        query, key, value = reference.qkv(weights, tokens)
        pairs = zip(query, key, strict=True)
        attention[index] = [(one @ two.transpose(1, 2) / 8).softmax(dim=-1) for one, two in pairs]
        tokens = tokens + reference.merge(weights, [a @ v for a, v in zip(attention[index], value, strict=True)])
        tokens = tokens + reference.feed_forward(weights, tokens)
    return tokens, attention


def last_block_by_hand(weights, tokens, base, middle, rcs, prior, sfr):
    """The last block around a base; ``prior`` (B, L, L) of SFR, or None; ``middle`` A_c per head."""
    query, key, value = reference.qkv(weights, tokens)
    omega = gaussian_neighbourhood(GRID, 5.0).double() if base == "NACLIP" else 0.0
    lists = {"NACLIP": [(key, key)], "SCLIP": [(query, query), (key, key)], "ClearCLIP": [(query, query)]}
    heads = []
    for head in range(len(value)):
        weighted = torch.zeros(())
        for left, right in lists.get(base, [(query, key)]):
            scores = left[head] @ right[head].transpose(1, 2) / 8
            if prior is not None:
                scores = sfr[0] * ((1 - sfr[1]) * scores + sfr[1] * prior)
            weighted = weighted + (scores + omega).softmax(dim=-1)
        heads.append(rcs[0] * ((1 - rcs[1]) * weighted + rcs[1] * middle[head]) @ value[head])
    attended = reference.merge(weights, heads)
    if base in ("NACLIP", "ClearCLIP"):
        return attended
    tokens = tokens + attended
    return tokens + reference.feed_forward(weights, tokens)


def cosines(model, state, tokens):
    norm = [state[f"visual.ln_post.{name}"].double() for name in ("weight", "bias")]
    features = F.layer_norm(tokens[:, 1:], (WIDTH,), *norm) @ state["visual.proj"].double()
    return F.normalize(features, dim=-1) @ model.decode_head.text_features.double().T  # (B, N, Q)


@pytest.mark.parametrize(("quirks", "size"), [(True, (32, 48)), (False, (37, 50))])
@pytest.mark.parametrize("base", BASES)
def test_both_passes_equal_the_formulas(base, quirks, size, build, mini_state):
    """Two windows of 4x6 patches at once, with pixels beyond them or not; the labels of pass 1 are without PAMR."""
    rcs, sfr, threshold = (1.5, 0.4), (1.9, 0.6), 0.15
    options = {"rcs_weights": rcs, "sfr_weights": sfr, "rcs_layers": (1, 2), "official_quirks": quirks}
    model = build(base, **options, label_pamr_steps=0, label_threshold=threshold, decode_head={"logit_scale": 3.0})
    model = model.double()
    inputs = torch.stack(images(size, size)).double()
    seen = watched(model)
    found = patch_logits(model, inputs)
    with torch.inference_mode():
        tokens, attention = embedded(model, inputs, mini_state, BLOCKS)
        middle = [(one + two) / 2 for one, two in zip(attention[1], attention[2], strict=True)]
        weights = reference.last_block_weights(mini_state)
        first = cosines(model, mini_state, last_block_by_hand(weights, tokens, base, middle, rcs, None, None))
        pixels = F.interpolate(first.transpose(1, 2).unflatten(2, GRID), size=size, mode="bilinear")
        best, labels = (3.0 * pixels).softmax(dim=1).max(dim=1)
        labels[best < threshold] = 0
        labels = labels.unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH).flatten(3).mode(dim=-1).values
        assert torch.equal(seen["first_labels"], labels)
        assert len(labels.unique()) > 2
        affinity = label_affinity(labels, 5.0, first_part_only=quirks, along_raster=quirks).double()
        prior = F.pad(affinity / affinity.amax(dim=(1, 2), keepdim=True), (1, 0, 1, 0))
        second = last_block_by_hand(weights, tokens, base, middle, rcs, prior, sfr)
        expected = cosines(model, mini_state, second).transpose(1, 2).unflatten(2, GRID)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_unsure_patches_take_the_first_query(build):
    model = build(label_threshold=1)
    seen = watched(model)
    patch_logits(model, torch.stack(images((32, 48))))
    assert seen["first_labels"].tolist() == torch.zeros(1, *GRID, dtype=torch.int64).tolist()


def test_pass_two_runs_the_last_block_only(build):
    model = build()
    calls = []
    for number, block in enumerate(model.backbone.blocks, start=1):
        block.out_proj.register_forward_hook(lambda *_, number=number: calls.append(number))
    patch_logits(model, torch.stack(images((32, 48))))
    assert calls == [1, 2, 3, 3]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("test_cfg", [SLIDE, WHOLE], ids=["slide", "whole"])
def test_switched_off_it_is_the_base_bit_by_bit(base, test_cfg, build, build_method):
    inputs, targets = images((32, 48), (44, 40)), [(50, 70), (44, 40)]
    own = {"pamr_steps": 0, "whole_upsampling": "two_step", "pad_to": None}
    expected = outputs(build_method(base, test_cfg=test_cfg, **own), inputs, targets)
    found = outputs(build(base, test_cfg=test_cfg, **OFF), inputs, targets)
    for ours, theirs in zip(found, expected, strict=True):
        assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("base", BASES)
def test_each_part_acts_alone_around_every_base(base, build):
    inputs = torch.stack(images((32, 48)))
    found = [
        patch_logits(build(base, **options), inputs)
        for options in (OFF, {"feedback": False}, {"rcs_weights": None}, {})
    ]
    for one in range(4):
        for two in range(one):
            assert (found[one] - found[two]).abs().max() > 1e-3


@pytest.mark.parametrize("base", BASES[:2])
def test_a_batch_of_two_equals_two_singles(base, build):
    inputs, targets = images((32, 48), (44, 40), (32, 48)), [(50, 70), (44, 40), (32, 48)]
    model = build(base)
    together = outputs(model, inputs, targets)
    for index, image in enumerate(inputs):
        labels, dense = outputs(model, [image], [targets[index]])
        assert torch.equal(labels[0], together[0][index])
        torch.testing.assert_close(dense[0], together[1][index], atol=1e-4, rtol=0)
    assert any(len(labels.unique()) > 1 for labels in together[0])


@pytest.mark.parametrize("base", BASES[:2])
def test_float32_equals_float64(base, build):
    inputs = torch.stack(images((32, 48), (32, 48)))
    single = patch_logits(build(base), inputs)
    double = patch_logits(build(base).double(), inputs.double())
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single.double(), double, atol=1e-5, rtol=0)


def test_half_precision_stays_close(build):
    inputs = torch.stack(images((32, 48)))
    full, half = (patch_logits(build(feedback=False, precision=name), inputs).float() for name in ("fp32", "bf16"))
    assert (full - half).abs().max() < 0.05


def test_features_need_no_preparation(build):
    """The words are read for pass 1, also where somebody asks for features only."""
    with torch.inference_mode():
        features = build().extract_feat(torch.stack(images((32, 48))))
    assert features.shape[2:] == GRID


def test_damaged_weights_are_named_as_such(build):
    """Not numbers in pass 1 neither stop it elsewhere nor get lost."""
    model = build()
    with torch.no_grad():
        model.backbone.blocks[1].c_fc.bias[0] = torch.nan
    with pytest.raises(ValueError, match=r"are not numbers .*: the weights are damaged"):
        model.predict(images((32, 48)))


# -- what the parts are for -----------------------------------------------------------------------------------------


@torch.inference_mode()
def within_halves(model, labels):
    """Attention of pass 2 that stays in a patch's own half of the image, on average, after these labels in pass 1."""
    half = (torch.arange(24) % 6 >= 3).double()
    object.__setattr__(model, "first_labels", lambda tokens, stream: labels)
    shares, attend = [], F.scaled_dot_product_attention

    def watch(query, key, value, **options):
        same = F.pad((half[:, None] == half).to(value.dtype), (1, 0, 1, 0)).expand(1, 2, -1, -1)
        shares.append(attend(query, key, same, **options)[..., 1:, 1:].diagonal(dim1=2, dim2=3).mean().item())
        return attend(query, key, value, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.nn.functional.scaled_dot_product_attention", watch)
        patch_logits(model, torch.stack(images((32, 48))))
    return shares[-1]


@pytest.mark.parametrize("base", ["NACLIP", "ClearCLIP"])
def test_feedback_keeps_attention_within_a_region(base, build):
    """The idea of SFR: patches look more at those that pass 1 has labelled alike."""
    halves, all_alike = (torch.arange(6) >= 3).long().expand(1, *GRID), torch.zeros(1, *GRID, dtype=torch.int64)
    model = build(base, sfr_sigma=0.5, sfr_weights=(2.2, 0.7))
    assert within_halves(model, halves) > within_halves(model, all_alike) + 0.02


def test_middle_attention_reorganises_the_last_block(build):
    """The idea of RCS: with lambda = 1, tokens are mixed as the middle blocks mix them, whatever the base compares."""
    inputs = torch.stack(images((32, 48)))
    found = [patch_logits(build(base, rcs_weights=(1.0, 1.0), feedback=False), inputs) for base in BASES[::2]]
    torch.testing.assert_close(*found)
    apart = [patch_logits(build(base, rcs_weights=(1.0, 0.0), feedback=False), inputs) for base in BASES[::2]]
    assert (apart[0] - apart[1]).abs().max() > 1e-3


# -- options --------------------------------------------------------------------------------------------------------


def test_defaults_are_those_of_the_official_code(build_method):
    model = build_method("ResCLIP", base={"type": "ClearCLIP"})
    assert (model.pamr_steps, model.whole_upsampling, model.pad_to) == (0, "two_step", None)
    assert model.base.pad_to is None
    assert (model.sfr.sfr_sigma, model.sfr.label_pamr_steps, model.sfr.label_pamr_dilations) == (5.0, 10, (8, 16))
    assert model.sfr.official_quirks


def test_the_middle_layers_are_those_of_the_official_code_or_as_far_down():
    expected = {2: [1], 3: [2], 6: [3, 4], 9: [4, 5, 6], 12: [6, 7, 8, 9], 24: [6, 7, 8, 9]}
    assert {count: list(_read_layers(None, count)) for count in expected} == expected


PAPER = {  # image as a whole, label_threshold, rcs_weights, sfr_weights
    "voc21": (True, 0.5, (2.0, 0.3), (2.2, 0.7)),
    "context60": (False, 0.3, (2.0, 0.3), (1.8, 0.7)),
    "coco_object": (False, 0.11, (2.0, 0.4), (1.8, 0.7)),
    "voc20": (True, 0.1, (2.0, 0.6), (2.1, 0.6)),
    "context59": (False, 0.25, (2.0, 0.4), (1.8, 0.7)),
    "coco_stuff164k": (False, 0.11, (2.0, 0.4), (1.8, 0.7)),
    "cityscapes": (False, 0.1, (2.0, 0.2), (2.1, 0.6)),
    "ade20k": (False, 0.25, (2.0, 0.3), (2.1, 0.7)),
}


@pytest.mark.parametrize("dataset", PAPER)
def test_paper_protocol_is_the_authors_and_unified_is_not_tuned(dataset):
    for backbone in ("vit-b16", "vit-b16-sclip", "vit-l14"):
        path = CONFIGS / "resclip" / f"resclip_{backbone}_{dataset}.py"
        config, whole = load_config(path), PAPER[dataset][0]
        model, head = config.model, config.model.decode_head
        assert config.protocol == "paper"
        assert (model.label_threshold, model.rcs_weights, model.sfr_weights) == PAPER[dataset][1:]
        assert model.test_cfg.to_dict() == (WHOLE if whole else {"mode": "slide", "crop_size": 224, "stride": 112})
        assert model.short_side == (560 if dataset == "cityscapes" else 336)
        background = dataset in ("voc21", "context60", "coco_object")
        assert (head.logit_scale, head.get("prob_threshold"), head.vocabulary) == (
            40,
            0.1 if background else None,
            dataset,
        )
        assert setting_of(config) == ("around SCLIP" if backbone.endswith("sclip") else "around NACLIP")
    model = load_config(path, {"protocol": "unified"}).model
    defaults = inspect.signature(ResCLIP.__init__).parameters
    assert model.rcs_weights == defaults["rcs_weights"].default
    assert (model.label_threshold, model.sfr_weights) == (Feedback.label_threshold, Feedback.sfr_weights)


def test_residual_and_feed_forward_are_the_bases(build):
    for base, kept in (("SCLIP", True), ("NACLIP", False), ({"type": "SCLIP", "residual": False}, False)):
        assert build(base).residual == kept
    model = build("SCLIP", residual=False, feed_forward=False)
    assert (model.residual, model.feed_forward) == (False, False)
    inputs = torch.stack(images((32, 48)))
    assert (patch_logits(model, inputs) - patch_logits(build("SCLIP"), inputs)).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rcs_weights": 2.0}, r"model\.rcs_weights must be \(tau, lambda\), as in \(2\.0, 0\.4\), but got 2\.0"),
        ({"rcs_weights": (2.0, 0.4, 1.0)}, r"model\.rcs_weights must be \(tau, lambda\)"),
        ({"rcs_weights": (0, 0.4)}, r"tau of model\.rcs_weights must be positive and a number, but got 0"),
        ({"sfr_weights": (1.8, 1.2)}, r"lambda of model\.sfr_weights must lie in \[0, 1\], but got 1\.2"),
        ({"sfr_sigma": 0}, r"model\.sfr_sigma must be positive and a number, but got 0"),
        ({"sfr_decay": "no"}, r"model\.sfr_decay must be one of \[True, False\], but got 'no'"),
        ({"official_quirks": 1}, r"model\.official_quirks must be one of \[True, False\], but got 1"),
        ({"feedback": 2}, r"model\.feedback must be one of \[True, False\], but got 2"),
        ({"label_threshold": 1.5}, r"model\.label_threshold must lie in \[0, 1\], but got 1\.5"),
        (
            {"label_pamr_steps": -1},
            r"model\.label_pamr_steps must be a whole number, at least 0, and model\.label_pamr_d",
        ),
        ({"label_pamr_steps": True}, r"model\.label_pamr_steps must be a whole number, .* but got True and \(8, 16\)"),
        ({"label_pamr_dilations": ()}, r"model\.label_pamr_dilations positive numbers of pixels, but got 10 and \(\)"),
        (
            {"rcs_layers": (2, 3)},
            r"model\.rcs_layers must be None or \(first, last\) with 1 <= first <= last < 3, but got",
        ),
        ({"rcs_layers": 2}, r"model\.rcs_layers must be None or \(first, last\)"),
        (
            {"rcs_layers": (1, 2), "rcs_weights": None},
            r"model\.rcs_layers has no effect with model\.rcs_weights=None: set model\.rcs_layers=None",
        ),
        (
            {"rcs_layers": (1, 2), "rcs_weights": (2.0, 0)},
            r"model\.rcs_layers has no effect with model\.rcs_weights=\(2\.0, 0\): set model\.rcs_layers=None",
        ),
        (
            {"feedback": False, "sfr_decay": False},
            r"model\.sfr_decay has no effect with model\.feedback=False: set model\.sfr_decay=None\.",
        ),
        (
            {"feedback": False, "label_threshold": 0.2, "sfr_weights": (2.0, 0.4)},
            r"with model\.feedback=False: set model\.sfr_weights=None model\.label_threshold=None\.",
        ),
        ({"feedback": False, "label_threshold": 0.2}, r"model\.label_threshold has no effect with model\.feedback"),
    ],
    ids=str,
)
def test_wrong_options_are_named(options, said, build):
    with pytest.raises(ValueError, match=said):
        build(**options)


def test_options_of_the_feedback_that_are_none_are_not_given(build):
    """So that the command line can take back what a leaf sets."""
    none = dict.fromkeys(field.name for field in fields(Feedback))
    assert build(**none).sfr == Feedback()
    assert not build(feedback=False, **none).feedback


@pytest.mark.parametrize("leaf", sorted((CONFIGS / "resclip").glob("*_vit-b16*.py")), ids=lambda path: path.stem)
def test_the_feedback_of_every_leaf_can_be_switched_off(leaf, build):
    """With what the sentence about it says."""
    config = load_config(leaf, {"model.feedback": False}).model
    own = {field.name: config[field.name] for field in fields(Feedback) if field.name in config}
    if own:
        with pytest.raises(ValueError, match=r"has no effect with model\.feedback=False: set ") as refused:
            build(feedback=False, **own)
        remedy = str(refused.value).partition(": set ")[2].rstrip(".").split()
        config = load_config(leaf, {"model.feedback": False, **parse_options(remedy)}).model
        own = {name: config[name] for name in own}
    assert not build(feedback=False, **own).feedback


# -- what can be a base, and around what ----------------------------------------------------------------------------


class ValueValue(SCLIP):
    """A method of tomorrow: it states its scores, and is a base."""

    def scores(self, projections, stream):
        return [type(score)(projections[2], projections[2]) for score in super().scores(projections, stream)[:1]]


class Late(NACLIP):
    """States its scores, but does something else on the way, too."""

    def after_attention(self, block, tokens, attended):
        return 2 * super().after_attention(block, tokens, attended)


def test_a_method_that_states_its_scores_is_a_base(build):
    inputs = torch.stack(images((32, 48)))
    found = patch_logits(build({"type": ValueValue}), inputs)
    assert (found - patch_logits(build("SCLIP"), inputs)).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("base", "said"),
    [
        (
            {"type": "MaskCLIP"},
            r"says in `scores` .*\(.*CLIP, ClearCLIP, .*NACLIP.*\), but MaskCLIP has its own attend",
        ),
        ({"type": "CLIPtrase"}, r"but CLIPtrase has its own encode and early_block and attend"),
        ({"type": Late}, r"but Late has its own after_attention"),
        ({"type": "ResCLIP", "base": {"type": "NACLIP"}}, r"but ResCLIP has its own attend"),
        (
            {"type": "LHTCLIP", "base": {"type": "NACLIP"}},
            r"runs CLIP's blocks itself, but LHTCLIP is around another one: put ResCLIP inside it, as its base",
        ),
        (None, r"model\.base must be the config of another method"),
        ("NACLIP", r"model\.base must be settings with a type"),
        ({"type": "NACLIP", "pamr_steps": 10}, r"model\.base\.pamr_steps=10 and model\.pamr_steps=0 contradict"),
    ],
    ids=str,
)
def test_what_is_no_base_is_refused_with_the_reason(base, said, build_method):
    with pytest.raises(ValueError, match=said):
        build_method("ResCLIP", base=base)


@pytest.mark.parametrize("feedback", [True, False])
@pytest.mark.parametrize("base", ["NACLIP", "SCLIP"])
def test_lht_clip_goes_around_it(base, feedback, build, build_method):
    inside = {"type": "ResCLIP", "base": {"type": base}, "feedback": feedback}
    inputs = torch.stack(images((32, 48)))
    off, on = ({"tau": tau, "alpha": 0, "k": 0} for tau in (1, 0.22))
    alone = build(base, feedback=feedback)
    if feedback:
        inside["label_threshold"] = 0.15
    assert torch.equal(patch_logits(build_method("LHTCLIP", base=inside, **off), inputs), patch_logits(alone, inputs))
    model = build_method("LHTCLIP", base=inside, **on)
    assert (patch_logits(model, inputs) - patch_logits(alone, inputs)).abs().max() > 1e-3
    assert (model.base.residual, model.base.feed_forward) == (False, False)
    without = build(base, feedback=feedback, residual=False, feed_forward=False)
    kept = build_method("LHTCLIP", base=inside, remove_residual=True, **off)
    assert torch.equal(patch_logits(kept, inputs), patch_logits(without, inputs))


def test_dslo_goes_around_it(build_method):
    base = {"type": "ResCLIP", "base": {"type": "SCLIP"}, "feedback": False}
    model = build_method("DSLO", test_cfg=WHOLE, mode="kl", theta=0, base=base)
    assert isinstance(model.base, ResCLIP)
    assert model.predict(images((32, 48)))[0].pred_sem_seg.data.shape == (1, 32, 48)


def test_a_method_around_others_still_leaves_the_blocks_to_them(build_method):
    class Around(AroundMethod):
        """Changes nothing."""

    with pytest.raises(ValueError, match="put LHTCLIP inside it"):
        build_method("LHTCLIP", base={"type": Around, "base": {"type": "SCLIP"}})


def test_results_name_the_composition():
    class Config(dict):
        model: dict

    base = {"type": "ResCLIP", "base": {"type": "SCLIP"}, "rcs_weights": (2.0, 0.3), "feedback": False}
    for model, expected in (
        ({"type": "ResCLIP", "base": {"type": "NACLIP"}}, "around NACLIP"),
        ({"type": "LHTCLIP", "base": base}, "around ResCLIP (around SCLIP, feedback=False)"),
        (
            {"type": "LHTCLIP", "base": {**base, "rcs_weights": None}},
            "around ResCLIP (around SCLIP, rcs_weights=None, feedback=False)",
        ),
    ):
        config = Config()
        config.model = model
        assert setting_of(config) == expected


def test_its_steps_can_be_timed(build):
    model = build()
    assert model.timed_steps == ("first_labels", "feedback_prior")
    assert all(callable(model.option(step)) for step in model.timed_steps)
    assert math.isclose(model.option("label_threshold"), 0.15)
