"""What those who write a method forget or give wrongly is said in a sentence, where it happens."""

import re

import pytest
import torch
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_tfovss.methods.around import AroundMethod
from mmseg_tfovss.methods.region_voting import RegionVoting
from mmseg_tfovss.methods.sclip import SCLIP
from mmseg_tfovss.methods.stages import LOGITS, Refined
from mmseg_tfovss.ops.canvas import ComputedCanvas, PixelCanvas
from tests.methods.own_config import SLIDE, WHOLE


def image(height=48, width=40, seed=0):
    return torch.randn(3, height, width, generator=torch.Generator().manual_seed(seed))


def label(model, *images, path="a.jpg"):
    """Labels of images that have a path."""
    images = images or (image(),)
    metas = [{"ori_shape": one.shape[-2:], **({"img_path": path} if path else {})} for one in images]
    return model.predict(list(images), [SegDataSample(metainfo=meta) for meta in metas])


# -- networks that nobody has declared ----------------------------------------------------------------------------


class WithLayer(SCLIP):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.smooth = nn.Conv2d(1, 1, 3)


class WithParameter(SCLIP):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.gain = nn.Parameter(torch.ones(1))


class WithBuffer(SCLIP):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.register_buffer("prior", torch.ones(3))


class WithList(SCLIP):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = [nn.Identity(), nn.Linear(2, 2)]


class WithTuple(SCLIP):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = (nn.Linear(2, 2),)


class WithDict(SCLIP):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = {"one": nn.BatchNorm2d(2)}


class WithLayerAround(AroundMethod):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.smooth = nn.Conv2d(1, 1, 3)


class WithHiddenBase(AroundMethod):
    """The layer is the base's."""


class WithCompanion(SCLIP):
    """As it is to be."""

    def __init__(self, *, smooth, **kwargs):
        super().__init__(**kwargs)
        self.companion("smooth", smooth)
        self.all_of_them = [self.smooth, self.backbone]


@pytest.mark.parametrize(
    ("kind", "tensor"),
    [
        (WithLayer, "smooth.weight"),
        (WithParameter, "gain"),
        (WithBuffer, "prior"),
        (WithList, "parts.weight"),
        (WithTuple, "parts.weight"),
        (WithDict, "parts.weight"),
        (WithLayerAround, "smooth.weight"),
    ],
)
def test_tensors_without_a_declared_network_are_named(kind, tensor, build_method):
    base = {"base": {"type": "SCLIP"}} if issubclass(kind, AroundMethod) else {}
    with pytest.raises(
        ValueError,
        match=rf"^{kind.__name__} holds the tensor '{tensor}', which belongs to no declared network, .* make its"
        r" network an option, dict\(type=\.\.\.\), and build it with self\.companion\('<option>', settings\)\.$",
    ):
        build_method(kind, **base)


def test_they_are_named_inside_of_another_method_too(build_method):
    with pytest.raises(ValueError, match=r"^WithBuffer holds the tensor 'prior', which belongs to no declared network"):
        build_method(WithHiddenBase, base={"type": WithBuffer})


def test_a_declared_network_is_frozen_and_known(build_method):
    model = build_method(
        WithCompanion, smooth={"type": nn.Conv2d, "in_channels": 1, "out_channels": 1, "kernel_size": 3}
    )
    assert model.networks() == {"backbone": model.backbone, "smooth": model.smooth}
    assert (model.smooth.name, len(model.smooth.weights_hash)) == ("Conv2d", 64)
    assert not model.smooth.weight.requires_grad
    assert not model.smooth.training
    assert label(model)[0].pred_sem_seg.data.shape == (1, 48, 40)
    other = build_method(WithCompanion, smooth={"type": nn.Linear, "in_features": 1, "out_features": 1})
    assert other.smooth.weights_hash != model.smooth.weights_hash


def test_settings_of_a_network_must_be_settings(build_method):
    with pytest.raises(
        ValueError, match=r"^model\.smooth must be settings with a type, as in \"model\.smooth=dict\(type="
    ):
        build_method(WithCompanion, smooth="Conv2d")
    with pytest.raises(ValueError, match=r"^WithCompanion needs a network: set model\.smooth=dict"):
        build_method(WithCompanion, smooth=None)
    assert build_method("CLIPtrase").mask_network is None  # which it can be without


# -- options that do not arrive -----------------------------------------------------------------------------------


class WithoutKwargs(SCLIP):
    def __init__(self, *, gain=1.0):
        super().__init__()
        self.gain = gain


class KwargsKeptBack(SCLIP):
    def __init__(self, *, gain=1.0, **kwargs):
        super().__init__()
        self.gain = gain


class WithoutSuper(SCLIP):
    def __init__(self, **kwargs):
        self.gain = 1.0


class KeptBackAround(AroundMethod):
    def __init__(self, *, base, **kwargs):
        super().__init__(base=base)


@pytest.mark.parametrize("kind", [WithoutKwargs, KwargsKeptBack, WithoutSuper, KeptBackAround])
def test_a_constructor_that_keeps_its_options_back_is_named(kind, build_method):
    base = {"base": {"type": "SCLIP"}} if issubclass(kind, AroundMethod) else {}
    with pytest.raises(
        ValueError,
        match=rf"^The constructor of {kind.__name__} does not hand its options on: it must take \*\*kwargs and call"
        r" super\(\)\.__init__\(\*\*kwargs\)\.$",
    ):
        build_method(kind, **base)


OPTIONS = {
    "precision": "bf16",
    "window_batch": 3,
    "pad_to": "patch",
    "whole_upsampling": "two_step",
    "pamr_steps": 2,
    "pamr_dilations": [1, 2],
    "residual": False,
    "feed_forward": False,
}


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_that_a_constructor_drops_is_named(option, build_method):
    class Drops(SCLIP):
        def __init__(self, **kwargs):
            kwargs.pop(option, None)
            super().__init__(**kwargs)

    build_method(Drops)
    others = {name: value for name, value in OPTIONS.items() if name != option}
    assert build_method(Drops, **others).common == {**build_method("SCLIP", **others).common}
    value = OPTIONS[option]
    with pytest.raises(
        ValueError, match=re.escape(f"The constructor of Drops does not hand model.{option}={value!r} on: it")
    ):
        build_method(Drops, **{option: value})


def test_options_of_its_own_and_other_defaults_are_nobodys_business(build_method):
    class Own(SCLIP):
        def __init__(self, *, gain=1.0, precision="bf16", **kwargs):
            super().__init__(precision=precision, **kwargs)
            self.gain = gain

    assert build_method(Own, gain=2.0).gain == 2.0
    assert build_method(Own, gain=2.0, precision="fp32").common["precision"] == "fp32"


def test_other_errors_of_a_constructor_stay_what_they_are(build_method):
    class Asks(SCLIP):
        def __init__(self, *, gain, **kwargs):
            super().__init__(**kwargs)

    with pytest.raises(ValueError, match=r"^Asks needs the option model\.gain, which has no default\.$"):
        build_method(Asks)
    with pytest.raises(TypeError, match="unexpected keyword argument 'gian'"):
        build_method(Asks, gain=1.0, gian=2.0)


# -- the last block -----------------------------------------------------------------------------------------------


class WithoutClassToken(SCLIP):
    def attend(self, block, tokens, stream):
        return super().attend(block, tokens, stream)[:, 1:]


class OtherWidth(SCLIP):
    def attend(self, block, tokens, stream):
        return super().attend(block, tokens, stream)[..., :64]


@pytest.mark.parametrize(("kind", "shape"), [(WithoutClassToken, r"\(6, 16, 128\)"), (OtherWidth, r"\(6, 17, 64\)")])
@pytest.mark.parametrize("residual", [True, False])
def test_attention_that_loses_something_is_named(kind, shape, residual, build_method):
    """Also without the residual connection, where nothing else would stumble over it."""
    model = build_method(kind, residual=residual, feed_forward=residual)
    with pytest.raises(
        ValueError,
        match=rf"^{kind.__name__}\.attend must give one output for every token, class token first: \(6, 17, 128\), but"
        rf" gave {shape}\. A method without a class token overrides last_block or extract_feat\.$",
    ):
        label(model, image(48, 64))


def test_a_method_without_a_class_token_may_override_extract_feat(build_method):
    class PatchesAlone(SCLIP):
        def extract_feat(self, inputs):
            tokens, grid = self.backbone.embed(inputs), self.backbone.grid(inputs)
            tokens = tokens[:, 1:]
            for block in self.backbone.blocks:
                tokens = block(tokens)
            return self.backbone.project(tokens).transpose(1, 2).unflatten(2, grid)

    assert label(build_method(PatchesAlone))[0].pred_sem_seg.data.shape == (1, 48, 40)


# -- maps ---------------------------------------------------------------------------------------------------------


def method_of_maps(change):
    """A method whose maps are changed."""

    class Changed(SCLIP):
        def encode(self, windows):
            return change(super().encode(windows))

    return Changed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda maps: maps[LOGITS],
            r"^Changed\.encode must give maps by name, as in {'logits': \.\.\.}, but gave <class 'torch\.Tensor'>\.$",
        ),
        (lambda maps: [maps[LOGITS]], r"must give maps by name, .* but gave <class 'list'>"),
        (
            lambda maps: {LOGITS: maps[LOGITS][:, :4]},
            r"^Changed\.encode gave logits of 4 queries, but the vocabulary has 7: synonyms have logits of their own",
        ),
        (
            lambda maps: {LOGITS: maps[LOGITS].flatten(2)},
            r"^Changed\.encode must give maps \(n, C, h, w\) of 4 windows, but 'logits' has the shape \(4, 7, 16\)\.$",
        ),
        (
            lambda maps: {**maps, "own": maps[LOGITS][1:]},
            r"must give maps \(n, C, h, w\) of 4 windows, but 'own' has the shape \(3, 7, 4, 4\)\.$",
        ),
        (
            lambda maps: {"own": maps[LOGITS]},
            r"^Changed gives the maps \['own'\] and no 'logits': encode must give them, or refine make them of the",
        ),
        (lambda maps: {}, r"^Changed gives the maps \[\] and no 'logits'"),
    ],
)
def test_maps_that_cannot_be_are_named(change, said, build_method):
    with pytest.raises(ValueError, match=said):
        label(build_method(method_of_maps(change)), image(48, 48))


def test_logits_may_come_as_late_as_in_refine(build_method):
    class Late(SCLIP):
        def encode(self, windows):
            return {"own": super().encode(windows)[LOGITS]}

        def refine(self, scene, canvases):
            return super().refine(scene, {LOGITS: canvases["own"]})

    found, expected = (label(build_method(kind))[0].pred_sem_seg.data for kind in (Late, SCLIP))
    assert torch.equal(found, expected)
    images = image()[None]
    assert torch.equal(*(build_method(kind).slide_inference(images) for kind in (Late, SCLIP)))


# -- what is refined ----------------------------------------------------------------------------------------------


def method_that_refines(make):
    """A method that makes something of its logits (Q, H, W)."""

    class Refining(SCLIP):
        def refine(self, scene, canvases):
            return make(canvases[LOGITS].dense())

    return Refining


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda dense: dense,
            r"^Refining\.refine must give Refined\(canvas\), as in Refined\(PixelCanvas\(logits\)\) .* gave Tensor\.$",
        ),
        (PixelCanvas, r"must give Refined\(canvas\), .* but gave PixelCanvas"),
        (Refined, r"^Refining\.refine must give Refined\(canvas\)"),
        (
            lambda dense: Refined(PixelCanvas(dense[:, 1:])),
            r"^Refining\.refine must give logits of 7 queries on 48x40 pixels, but gave 7 on 47x40\.$",
        ),
        (lambda dense: Refined(PixelCanvas(dense[:4])), r"logits of 7 queries on 48x40 pixels, but gave 4 on 48x40"),
        (
            lambda dense: Refined(PixelCanvas(dense), queries=torch.tensor([1, 3])),
            r"must give logits of 2 queries on 48x40 pixels, but gave 7 on 48x40",
        ),
    ],
)
def test_what_cannot_be_labelled_is_named(make, said, build_method):
    model = build_method(method_that_refines(make))
    with pytest.raises(ValueError, match=said):
        label(model)
    with pytest.raises(ValueError, match=said):
        model.dense_logits(model.inference([image()], [{"ori_shape": (48, 40)}])[0])


def test_queries_may_be_merged_to_classes_by_a_method_that_says_so(build_method):
    """Labels are then the largest channel's, and around the method, too; otherwise it is told what is missing."""

    def first_of_each(dense):
        head = model.decode_head
        return Refined(PixelCanvas(torch.stack([dense[head.query_class == n][0] for n in range(head.num_classes)])))

    kind = method_that_refines(first_of_each)
    kind.of_classes = True
    model = build_method(kind)
    around = build_method(AroundMethod, base={"type": kind})
    for method in (model, around):
        [assembly] = method.inference([image()], [{"ori_shape": (48, 40)}])
        dense = method.dense_logits(assembly)
        assert dense.shape == (4, 48, 40)
        assert torch.equal(method.labels_of(assembly), dense.argmax(dim=0))
    model.of_classes = False
    with pytest.raises(ValueError, match="must give logits of 7 queries on 48x40 pixels, but gave 4 on 48x40"):
        label(model)
    whole = method_that_refines(lambda dense: Refined(PixelCanvas(dense)))
    whole.of_classes = True
    with pytest.raises(ValueError, match="must give logits of 4 classes on 48x40 pixels, but gave 7 on 48x40"):
        label(build_method(whole))


def test_blocks_that_are_gone_the_second_time_are_named(build_method):
    """Thresholds may ask for all logits twice."""

    def make(dense):
        once = iter([(slice(0, 48), slice(0, 7), dense.transpose(0, 1))])
        return Refined(ComputedCanvas((48, 40), 7, dense.device, lambda: once))

    model = build_method(method_that_refines(make), decode_head={"area_threshold": 0.9})
    with pytest.raises(ValueError, match=r"must give every value once, and begin anew whenever it is called"):
        label(model)


# -- numbers that are none ----------------------------------------------------------------------------------------


def spoilt(value):
    """A method that puts a value into one of its logits."""

    def change(maps):
        maps[LOGITS][0, 2, 1, 1] = value
        return maps

    return method_of_maps(change)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("test_cfg", [SLIDE, WHOLE], ids=["slide", "whole"])
def test_nan_of_the_methods_own_making_is_said_to_be_its_own(value, test_cfg, build_method):
    model = build_method(spoilt(value), test_cfg=test_cfg)
    with pytest.raises(
        ValueError,
        match=r"^The logits of the image a\.jpg are not numbers \(NaN or infinite\): Changed itself makes them of"
        r" CLIP's tokens, which are numbers\.$",
    ):
        label(model)
    with pytest.raises(ValueError, match=r"^The logits of the image \(no path\) are not numbers"):
        label(model, path="")


def test_nan_in_another_map_is_named_by_the_map(build_method):
    model = build_method(method_of_maps(lambda maps: {**maps, "rows": maps[LOGITS] * torch.nan}))
    with pytest.raises(
        ValueError, match=r"^The rows of the image a\.jpg are not numbers .*: Changed itself makes them"
    ):
        label(model)


def test_the_image_whose_logits_are_not_numbers_is_named(build_method):
    """Among others in a batch."""

    class Picky(SCLIP):
        def encode(self, windows):
            maps = super().encode(windows)
            for index, scene in enumerate(windows.scenes):
                if scene.path == "b.jpg":
                    maps[LOGITS][index] = torch.nan
            return maps

    images = [image(seed=seed) for seed in range(3)]
    metas = [{"ori_shape": (48, 40), "img_path": f"{name}.jpg"} for name in "abc"]
    with pytest.raises(ValueError, match=r"The logits of the image b\.jpg are not numbers"):
        build_method(Picky).inference(images, metas)


@pytest.mark.parametrize("layer", ["conv1", "ln_post", "blocks.0.c_fc", "blocks.2.in_proj"])
def test_nan_of_damaged_weights_is_said_to_be_theirs(layer, build_method):
    model = build_method("SCLIP")
    with torch.no_grad():
        model.backbone.get_submodule(layer).weight.flatten()[3] = torch.nan
    with pytest.raises(
        ValueError,
        match=r"^The logits of the image a\.jpg are not numbers \(NaN or infinite\): the weights are damaged, or too"
        r" large for model\.precision=fp16 \(try fp32\)\.$",
    ):
        label(model)


def test_so_is_that_of_a_damaged_text_tower(build_method):
    model = build_method("SCLIP")
    model.prepare()
    model.decode_head.text_features[2] = torch.nan
    with pytest.raises(ValueError, match=r"the weights are damaged"):
        label(model)


def test_weights_too_large_for_half_precision_are_damaged_weights(build_method):
    model = build_method("SCLIP", precision="fp16")
    with torch.no_grad():
        model.backbone.blocks[1].c_proj.weight.fill_(6e4)
    with pytest.raises(ValueError, match=r"too large for model\.precision=fp16 \(try fp32\)"):
        label(model)


def nan_in(dense):
    spoilt = dense.clone()
    spoilt[3, 20, 10] = torch.nan
    return Refined(PixelCanvas(spoilt))


def nan_of_confidence(dense):
    return Refined(PixelCanvas(dense), confidence=nan_in(dense).logits)


@pytest.mark.parametrize("make", [nan_in, nan_of_confidence])
def test_nan_made_by_refine_is_said_to_be_its_own(make, build_method):
    model = build_method(method_that_refines(make), decode_head={"prob_threshold": 0.1})
    with pytest.raises(
        ValueError,
        match=r"^Refining\.refine has made logits of the image a\.jpg that are not numbers \(NaN\): their pixels would"
        r" have no class\.$",
    ):
        label(model)
    with pytest.raises(ValueError, match=r"of the image \(no path\) that are not numbers"):
        label(model, path="")


@pytest.mark.parametrize("options", [{}, {"prob_threshold": 0.1}, {"area_threshold": 0.1}], ids=str)
def test_nan_made_by_refine_is_found_whatever_the_thresholds(options, build_method):
    with pytest.raises(ValueError, match=r"^Refining\.refine has made logits"):
        label(build_method(method_that_refines(nan_in), decode_head=options))


def test_nan_made_by_refine_is_said_by_threads_and_by_methods_around(build_method):
    class Halves(RegionVoting):
        def refine(self, scene, canvases):
            return nan_in(canvases[LOGITS].dense())

    with pytest.raises(ValueError, match=r"^Halves\.refine has made logits of the image a\.jpg"):
        label(build_method(Halves, test_cfg=WHOLE))
    around = build_method(WithHiddenBase, base={"type": method_that_refines(nan_in)})
    with pytest.raises(ValueError, match=r"refine has made logits of the image a\.jpg that are not numbers"):
        label(around)


def test_minus_infinity_is_a_refined_logit(build_method):
    """A query that is out of the question somewhere."""

    def make(dense):
        dense = dense.clone()
        dense[:3] = -torch.inf
        return Refined(PixelCanvas(dense))

    labels = label(build_method(method_that_refines(make)))[0].pred_sem_seg.data
    assert set(labels.unique().tolist()) <= {2, 3}


# -- what look gives ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ([1, 2], r"Looks\.look must give a dictionary of what is seen, by name, but gave list"),
        ({"edges": torch.zeros(3, 4)}, r"Looks\.look must give 'edges' of each of the 2 images"),
        ({"count": 2}, r"Looks\.look must give 'count' of each of the 2 images"),
    ],
)
def test_what_is_seen_must_be_of_every_image(seen, said, build_method):
    class Looks(SCLIP):
        def look(self, scenes):
            return seen

    with pytest.raises(ValueError, match=said):
        build_method(Looks).predict(torch.zeros(2, 3, 48, 40))


# -- the same sentences inside of other methods ---------------------------------------------------------------------


class Transposed(SCLIP):
    def refine(self, scene, canvases):
        return Refined(PixelCanvas(canvases["logits"].dense().transpose(1, 2)))


class Damaged(SCLIP):
    def refine(self, scene, canvases):
        return Refined(PixelCanvas(canvases["logits"].dense() * float("nan")))


class OfImages(SCLIP):
    """Its logits are made in refine."""

    def encode(self, windows):
        return {"features": self.extract_feat(windows.images)}

    def refine(self, scene, canvases):
        features = torch.nn.functional.normalize(canvases["features"].dense(), dim=0)
        return Refined(PixelCanvas(torch.einsum("dhw,qd->qhw", features, self.decode_head.text_features)))


WHOLE_IMAGES = {"mode": "whole"}
AROUND = {"LHTCLIP": {"k": 0}, "DSLO": {"mode": "kl"}}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize(
    ("base", "said"),
    [
        (Transposed, r"^Transposed\.refine must give logits of 7 queries on 48x40 pixels"),
        (Damaged, r"^Damaged\.refine has made logits of the image"),
    ],
)
def test_a_bases_mistakes_are_its_own(base, said, around, build_method):
    model = build_method(around, base={"type": base}, test_cfg=WHOLE_IMAGES, **AROUND[around])
    with pytest.raises(ValueError, match=said):
        model.predict(torch.zeros(1, 3, 48, 40))


@pytest.mark.parametrize("around", [None, *AROUND])
def test_logits_of_images_alone_have_no_windows(around, build_method):
    if around:
        model = build_method(around, base={"type": OfImages}, test_cfg=WHOLE_IMAGES, **AROUND[around])
    else:
        model = build_method(OfImages, test_cfg=WHOLE_IMAGES)
    images = torch.randn(2, 3, 48, 40, generator=torch.Generator().manual_seed(0))
    assert model.slide_inference(images).shape == (2, 7, 48, 40)
    with pytest.raises(ValueError, match=r"^OfImages has no logits of single windows"):
        model.patch_logits(images)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"queries": torch.tensor([0, 1, 2, 3, 4, 5, 9])}, "keeps queries that are not among the vocabulary's 7"),
        ({"regions": torch.zeros(3, 3, dtype=torch.int64)}, r"must give regions of 48x40 pixels, but gave \(3, 3\)"),
        ({"confidence": PixelCanvas(torch.zeros(7, 24, 20))}, "must give the confidence of 7 queries on 48x40 pixels"),
    ],
    ids=["queries", "regions", "confidence"],
)
def test_whatever_is_refined_must_fit_the_image(fields, said, build_method):
    class Fields(SCLIP):
        def refine(self, scene, canvases):
            return Refined(canvases["logits"], **fields)

    with pytest.raises(ValueError, match=said):
        build_method(Fields).predict(torch.zeros(1, 3, 48, 40))


def test_a_network_that_lacks_what_is_needed_is_refused_before_it_is_loaded(build_method):
    with pytest.raises(ValueError, match=r"^model\.graph: SAM gives no graph: take one of CLIPGraph, "):
        build_method("DSLO", test_cfg=WHOLE_IMAGES, graph={"type": "SAM", "pretrained": "/nowhere"})
    with pytest.raises(ValueError, match=r"^model\.sam: DINO gives no masks: take one of SAM"):
        build_method("CLIPtraseSAM", test_cfg=WHOLE_IMAGES, sam={"type": "DINO", "pretrained": "/nowhere"})


def test_the_traceback_of_any_error_names_the_image(build_method, monkeypatch):
    model = build_method("SCLIP")
    monkeypatch.setattr(type(model), "refine", lambda self, scene, canvases: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        label(model, path="second.jpg")
    assert caught.value.__notes__ == ["The image was second.jpg."]
