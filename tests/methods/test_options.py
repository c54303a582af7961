"""Options that methods have in common: what each does, what excludes another one, and how tools reach them."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from mmseg_tfovss.methods.options import check_network, read_own, take_options
from mmseg_tfovss.methods.sclip import SCLIP
from tests.methods import reference
from tests.methods.own_config import WHOLE, registered_methods

METHODS = registered_methods()
GRID = (2, 3)
# What each method does of itself.
KEPT = {"CLIP": True, "SCLIP": True, "MaskCLIP": True, "CLIPtrase": True, "ClearCLIP": False, "NACLIP": False}


# -- the last block ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("feed_forward", [True, False, None])
@pytest.mark.parametrize("residual", [True, False, None])
@pytest.mark.parametrize("method", KEPT)
def test_residual_and_feed_forward_are_options_of_every_method(
    method, residual, feed_forward, build_method, mini_state
):
    tokens, weights = reference.random_tokens(2, GRID), reference.last_block_weights(mini_state)
    bare = build_method(method, residual=False, feed_forward=False)
    expected = reference.run_last_block(bare, tokens, GRID)
    if KEPT[method] if residual is None else residual:
        expected = tokens + expected
    if KEPT[method] if feed_forward is None else feed_forward:
        expected = expected + reference.feed_forward(weights, expected)
    model = build_method(method, residual=residual, feed_forward=feed_forward)
    torch.testing.assert_close(reference.run_last_block(model, tokens, GRID), expected, atol=1e-5, rtol=0)


def test_both_reach_the_labels(build_method):
    [image] = torch.randn(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    found = {}
    for residual in (True, False):
        for feed_forward in (True, False):
            model = build_method("SCLIP", residual=residual, feed_forward=feed_forward)
            [assembly] = model.inference([image], [{"ori_shape": (48, 64)}])
            found[residual, feed_forward] = model.dense_logits(assembly)
    pairs = [(one, other) for one in found for other in found if one < other]
    assert all((found[one] - found[other]).abs().max() > 1e-3 for one, other in pairs)


@pytest.mark.parametrize("method", ["CLIP", "MaskCLIP"])
def test_ignore_residual_is_a_name_for_both(method, build_method):
    tokens = reference.random_tokens(2, GRID)
    named = build_method(method, ignore_residual=True)
    both = build_method(method, residual=False, feed_forward=False)
    assert (named.residual, named.feed_forward) == (False, False)
    found, expected = (reference.run_last_block(model, tokens, GRID) for model in (named, both))
    assert torch.equal(found, expected)
    again = build_method(method, ignore_residual=True, residual=False, feed_forward=False)
    assert again.common == named.common


@pytest.mark.parametrize("method", ["CLIP", "MaskCLIP"])
def test_it_may_stand_beside_options_that_are_left_to_the_method(method, build_method):
    model = build_method(method, ignore_residual=True, residual=None, feed_forward=None)
    assert (model.residual, model.feed_forward) == (False, False)


@pytest.mark.parametrize("method", ["CLIP", "MaskCLIP"])
@pytest.mark.parametrize("option", ["residual", "feed_forward"])
def test_options_that_contradict_it_are_named(option, method, build_method):
    with pytest.raises(
        ValueError,
        match=rf"^model\.ignore_residual=True and model\.{option}=True contradict each other: leave one out\.",
    ):
        build_method(method, ignore_residual=True, **{option: True})


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        ("CLIP", {"ignore_residual": "yes"}, r"model\.ignore_residual must be one of \[True, False\], but got 'yes'"),
        ("CLIP", {"ignore_residual": 1}, r"model\.ignore_residual must be one of \[True, False\], but got 1"),
        ("CLIPtrase", {"per_head": 1}, r"model\.per_head must be one of \[True, False\], but got 1"),
        ("CLIPtrase", {"normalise_rows": "no"}, r"model\.normalise_rows must be one of \[True, False\], but got 'no'"),
        ("CLIPtrase", {"cls_weighting": 1}, r"model\.cls_weighting must be one of \[True, False\], but got 1"),
        ("GEM", {"normalize": 0}, r"model\.normalize must be one of \[True, False\], but got 0"),
        ("SCLIP", {"residual": 0}, r"model\.residual must be one of \[None, True, False\], but got 0"),
        ("SCLIP", {"data_preprocessor": {"exact": 1}}, r"model\.data_preprocessor\.exact must be one of .* but got 1"),
        ("SCLIP", {"backbone": {"quick_gelu": 1}}, r"model\.backbone\.quick_gelu must be one of .* but got 1"),
        ("SCLIP", {"centre_square": 1}, r"model\.centre_square must be True or False, but got 1"),
        ("SCLIP", {"residual": "no"}, r"model\.residual must be one of \[None, True, False\], but got 'no'"),
        ("SCLIP", {"feed_forward": 2}, r"model\.feed_forward must be one of \[None, True, False\], but got 2"),
    ],
)
def test_values_that_are_neither_yes_nor_no_are_named(method, options, said, build_method):
    with pytest.raises(ValueError, match=said):
        build_method(method, **options)


def test_options_of_one_choice_have_its_defaults_or_are_refused():
    own = {"one": {"a": 1, "b": None}, "two": {"c": 3}}
    assert read_own("way", "one", own, {"a": None, "b": 5, "c": None}) == {"a": 1, "b": 5}
    assert read_own("way", "two", own, {"a": None, "b": None, "c": None}) == {"c": 3}
    with pytest.raises(ValueError, match=r"model\.a has no effect with model\.way='two': set model\.a=None\."):
        read_own("way", "two", own, {"a": 0, "b": None, "c": 3})
    with pytest.raises(ValueError, match=r"model\.way must be one of \['one', 'two'\], but got 'three'\."):
        read_own("way", "three", own, {})


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        ("SCLIP", {"pamr_steps": True}, r"model\.pamr_steps must be a whole number, .* but got True"),
        ("SCLIP", {"pamr_steps": 1.5}, r"model\.pamr_steps must be a whole number"),
        ("SCLIP", {"pamr_steps": 2, "pamr_dilations": [True]}, r"model\.pamr_dilations positive numbers of pixels"),
        ("SCLIP", {"window_batch": True}, r"model\.window_batch must be a whole number, at least 1, but got True"),
        (
            "SCLIP",
            {"pad_to": True},
            r"model\.pad_to must be a positive number of pixels, 'patch' or None, but got True",
        ),
        ("SCLIP", {"test_cfg": {"mode": "slide", "crop_size": 32, "stride": True}}, r"stride must be .* but got True"),
        ("NACLIP", {"sigma": True}, r"model\.sigma must be positive or None, but got True"),
        ("NACLIP", {"sigma": "5"}, r"model\.sigma must be positive or None, but got '5'"),
        ("CLIPtrase", {"min_samples": True}, r"model\.min_samples an integer, at least 1, but got 1\.1 and True"),
        (
            "LHTCLIP",
            {"base": {"type": "SCLIP"}, "sigma": True},
            r"model\.sigma must be positive and a number, but got True",
        ),
        ("LHTCLIP", {"base": {"type": "SCLIP"}, "layers": (True, 2), "k": 0}, r"model\.layers must be None or"),
        (
            "LHTCLIP",
            {"base": {"type": "SCLIP"}, "k": True},
            r"model\.k must be a number of heads, at least 0, but got True",
        ),
    ],
    ids=str,
)
def test_yes_and_no_are_no_numbers(method, options, said, build_method):
    with pytest.raises(ValueError, match=said):
        build_method(method, **options)


# -- by their names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_what_tools_look_for_is_there(method, build_own):
    """Steps that are timed, and options that a sweep changes without encoding again."""
    model = build_own(method)
    assert all(callable(model.option(step)) for step in model.timed_steps)
    assert set(model.complexity_steps.values()) <= set(model.timed_steps)
    for name in model.label_options:
        before = model.option(name)
        model.set_option(name, before)
        assert model.option(name) == before


def options_read(model, work):
    """Which of its ``label_options`` a method reads while something is done."""
    names = {name for name in model.label_options if "." not in name}
    owners = {type(owner): owner for owner in (model, *(getattr(model, record) for record in model.option_records))}
    found = set()

    def noting(kind):
        read = kind.__getattribute__

        def noted(self, name):
            if name in names and self is owners[kind]:
                found.add(name)
            return read(self, name)

        return noted

    with pytest.MonkeyPatch.context() as patch:
        for kind in owners:
            patch.setattr(kind, "__getattribute__", noting(kind))
        result = work()
    return result, found


@pytest.mark.parametrize("method", METHODS)
def test_options_that_only_labels_need_are_not_read_before(method, build_own):
    """Of whole images: what a sweep keeps must not depend on them."""
    model = build_own(method, test_cfg=WHOLE)
    [image] = torch.randn(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    [assembly], before = options_read(model, lambda: model.inference([image], [{"ori_shape": (48, 64)}]))
    assert not before
    _, after = options_read(model, lambda: model.labels_of(assembly))
    if method in ("CLIPtrase", "CLIPtraseSAM"):
        assert {"eps", "min_samples", "normalise_rows"} <= after
    if method == "DSLO":
        assert {"theta", "mass_scale", "tau", "max_steps", "ipf_iterations", "upsampling", "radius"} <= after


@dataclass(frozen=True)
class Smoothing:
    """A record of options."""

    width: float = 1.0
    rounds: int = 2

    def __post_init__(self):
        if self.width <= 0:
            raise ValueError(f"model.width must be positive, but got {self.width!r}.")


class Smooth(SCLIP):
    """A method with a record of options."""

    option_records: ClassVar = {"smoothing": Smoothing}

    def __init__(self, *, gain=1.0, **kwargs):
        self.__dict__["given"] = take_options(Smoothing, kwargs)
        super().__init__(**kwargs)
        self.smoothing, self.gain = self.given, gain


def test_options_of_a_record_are_flat(build_method):
    model = build_method(Smooth, width=3.0)
    assert model.smoothing == Smoothing(3.0, 2)
    assert [model.option(name) for name in ("width", "rounds", "gain", "decode_head.logit_scale")] == [
        3.0,
        2,
        1.0,
        40.0,
    ]
    before = model.smoothing
    model.set_option("rounds", 5)
    model.set_option("gain", 2.0)
    model.set_option("decode_head.prob_threshold", 0.3)
    assert (model.smoothing, before) == (Smoothing(3.0, 5), Smoothing(3.0, 2))
    assert (model.gain, model.decode_head.prob_threshold) == (2.0, 0.3)
    with pytest.raises(ValueError, match=r"model\.width must be positive, but got 0"):
        model.set_option("width", 0)
    with pytest.raises(ValueError, match=r"model\.width must be positive, but got -1"):
        build_method(Smooth, width=-1)


def test_taking_options_leaves_the_others(build_method):
    options = {"width": 2.0, "rounds": None, "precision": "bf16"}
    assert take_options(Smoothing, options) == Smoothing(2.0, 2)
    assert options == {"precision": "bf16"}


@pytest.mark.parametrize("settings", [None, {}, {"type": "DINO"}, {"type": "DINO", "layers": [1]}], ids=str)
def test_settings_of_a_network_have_a_type_or_are_none(settings):
    check_network("graph", settings)


@pytest.mark.parametrize("settings", ["DINO", ["DINO"], {"layers": [1]}, 3], ids=str)
def test_other_settings_of_a_network_are_named(settings):
    with pytest.raises(ValueError, match=r"^model\.graph must be settings with a type, .*, or None, but got"):
        check_network("graph", settings)
