"""Methods around another one: all five stages are the other one's until one is changed, and nothing is forgotten."""

import copy

import pytest
import torch
from torch import nn

from mmseg_tfovss.encoders.companion import Companion
from mmseg_tfovss.methods.around import AroundMethod, from_outside_in, method_class
from mmseg_tfovss.methods.cliptrase import CLIPtrase
from mmseg_tfovss.methods.sclip import SCLIP
from mmseg_tfovss.methods.stages import LOGITS
from mmseg_tfovss.ops.canvas import PixelCanvas
from tests.methods.own_config import SLIDE, WHOLE, registered_methods
from tests.methods.test_base import random_images, samples

METHODS = registered_methods()


class Around(AroundMethod):
    """Changes nothing."""


class Upside(AroundMethod):
    """Turns labels into others, and leaves the stages before alone."""

    def label(self, scene, refined):
        return self.decode_head.num_classes - 1 - super().label(scene, refined)


class Looking(SCLIP):
    """Looks at whole images: the mean of each is added to its logits."""

    def look(self, scenes):
        return {"mean": torch.stack([scene.image.mean() for scene in scenes])}

    def encode(self, windows):
        maps = super().encode(windows)
        return {LOGITS: maps[LOGITS] + windows.seen("mean")[:, None, None, None]}


class Tiny(Companion):
    """A companion with one parameter, whose tokens are the patches' colours."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def tokens(self, images, grid):
        patches = nn.functional.adaptive_avg_pool2d(images, grid).flatten(2).transpose(1, 2)
        return self.weight * torch.cat([patches.mean(dim=1, keepdim=True), patches], dim=1)


@torch.inference_mode()
def everything(model):
    """All that a method says of two images: labels, logits at full size and on patches, one window and several."""
    images, sizes = random_images((48, 40), (33, 71)), [(60, 50), (33, 71)]
    data = model.data_preprocessor({"inputs": images, "data_samples": samples(*sizes)})
    assemblies = model.inference(data["inputs"], [sample.metainfo for sample in data["data_samples"]])
    labels = [sample.pred_sem_seg.data for sample in model.predict(data["inputs"], data["data_samples"])]
    image = data["inputs"][0][None]
    logits = [model.dense_logits(assembly) for assembly in assemblies]
    whole = [model.patch_logits(image), model.encode_decode(image), model.slide_inference(image)]
    return [*labels, *logits, *whole]


def assert_equal(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


# -- the stages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("test_cfg", [pytest.param(WHOLE, marks=pytest.mark.slow), SLIDE], ids=["whole", "slide"])
@pytest.mark.parametrize("method", METHODS)
def test_it_is_the_base_bit_by_bit(method, test_cfg, build_own):
    expected = everything(build_own(method, test_cfg=test_cfg))
    # Around something that is around the method, which nothing that is not passed on would survive.
    assert_equal(everything(build_own.around(Around, method, test_cfg=test_cfg, depth=2)), expected)


def test_features_are_the_bases(build_method):
    around, alone = build_method(Around, base={"type": "NACLIP"}), build_method("NACLIP")
    inputs = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(around.extract_feat(inputs), alone.extract_feat(inputs))


def test_what_the_base_looks_at_is_seen(build_method):
    around, alone = build_method(Around, base={"type": Looking}), build_method(Looking)
    assert_equal(everything(around), everything(alone))
    plain = everything(build_method("SCLIP"))
    assert (everything(alone)[2] - plain[2]).abs().max() > 1e-3


def test_a_changed_stage_is_the_only_one(build_method):
    changed, alone = everything(build_method(Upside, base={"type": "SCLIP"})), everything(build_method("SCLIP"))
    assert_equal([3 - labels for labels in changed[:2]], alone[:2])
    assert_equal(changed[2:], alone[2:])


def test_an_oracle_inside_is_told_the_labels(build_method):
    oracle = {"recovery": "within_ground_truth", "cluster": "none"}
    around = build_method(Around, test_cfg=WHOLE, base={"type": "CLIPtrase", **oracle})
    assert around.reads_truth
    with pytest.raises(ValueError, match=r"is an oracle, for an ablation only"):
        around.predict([torch.zeros(3, 48, 64)])
    alone = build_method("CLIPtrase", test_cfg=WHOLE, **oracle)
    image, truth = torch.randn(3, 48, 64, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 48, 64)
    truth[..., 32:] = 3
    found = [model.inference([image], [{"ori_shape": (48, 64)}], [truth])[0] for model in (around, alone)]
    assert torch.equal(*(assembly.canvases[LOGITS].patches for assembly in found))


# -- what is shared -------------------------------------------------------------------------------------------------


def test_networks_words_and_preprocessor_are_the_bases(build_method):
    model, alone = build_method(Around, base={"type": "CLIPtrase"}), build_method("CLIPtrase")
    for name in ("backbone", "decode_head", "data_preprocessor"):
        assert getattr(model, name) is getattr(model.base, name)
    assert torch.equal(model.data_preprocessor.mean, alone.data_preprocessor.mean)
    assert len(list(model.parameters())) == len(list(alone.parameters()))
    everything(model)
    assert model.decode_head.ready


def test_networks_are_named_by_their_place_in_the_config(build_method):
    base = {"type": "CLIPtrase", "mask_network": {"type": Tiny}}
    model = build_method(Around, base={"type": Around, "base": base})
    inner = model.base.base
    assert model.networks() == {"backbone": inner.backbone, "base.base.mask_network": inner.mask_network}
    assert inner.mask_network.name == "Tiny"
    assert len(inner.mask_network.weights_hash) == 64
    assert not inner.mask_network.weight.requires_grad
    everything(model)


def test_messages_name_the_option_of_the_base(build_method):
    base = {"type": "CLIPtrase", "mask_network": {"type": "DINOv2", "pretrained": "/nowhere"}}
    with pytest.raises(FileNotFoundError, match=r"set model\.base\.mask_network\.pretrained to"):
        build_method(Around, base=base)
    with pytest.raises(FileNotFoundError, match=r"set model\.base\.base\.mask_network\.pretrained to"):
        build_method(Around, base={"type": Around, "base": base})
    with pytest.raises(FileNotFoundError, match=r"set model\.mask_network\.pretrained to"):
        build_method("CLIPtrase", mask_network=base["mask_network"])


@pytest.mark.parametrize(
    "beside",
    [
        {"precision": "bf16"},
        {"window_batch": 3},
        {"pad_to": 16},
        {"whole_upsampling": "two_step"},
        {"pamr_steps": 2, "pamr_dilations": [1, 2]},
        {"residual": False, "feed_forward": False},
    ],
    ids=str,
)
def test_options_of_all_methods_beside_the_base_are_the_bases_too(beside, build_method):
    model = build_method(Around, base={"type": "SCLIP"}, **beside)
    alone = build_method("SCLIP", **beside)
    assert model.common == model.base.common == alone.common
    for name in (*beside, "window_batch"):
        assert getattr(model, name, None) == getattr(model.base, name, None) == getattr(alone, name, None)
    assert_equal(everything(model), everything(alone))


@pytest.mark.parametrize(
    ("beside", "inside"),
    [
        ({"window_batch": 3}, {"window_batch": 5}),
        ({"residual": False}, {"residual": True}),
        ({"pamr_steps": 0}, {"pamr_steps": 3}),
    ],
    ids=str,
)
def test_the_same_option_in_two_places_is_one_or_refused(beside, inside, build_method):
    [name] = beside
    with pytest.raises(
        ValueError, match=rf"^model\.base\.{name}=.* and model\.{name}=.* contradict .* set model\.{name} alone"
    ):
        build_method(Around, base={"type": "SCLIP", **inside}, **beside)
    assert build_method(Around, base={"type": "SCLIP", **inside}, **inside).base.common[name] == inside[name]


def test_options_inside_the_base_are_those_of_the_whole(build_method):
    model = build_method(Around, base={"type": "NACLIP", "pamr_steps": 2, "window_batch": 3, "sigma": 0.8})
    assert (model.pamr_steps, model.window_batch, model.base.sigma) == (2, 3, 0.8)
    assert (model.whole_upsampling, model.base.residual) == ("two_step", False)


def test_a_preprocessor_beside_the_base_comes_first_too(build_method):
    preprocessor = {"type": "CLIPPreprocessor", "mean": (1.0, 2.0, 3.0), "std": (4.0, 5.0, 6.0)}
    inside = build_method(Around, base={"type": "SCLIP", "data_preprocessor": preprocessor})
    assert inside.data_preprocessor.mean.flatten().tolist() == [1, 2, 3]
    beside = build_method(Around, base={"type": "SCLIP"}, data_preprocessor=preprocessor)
    assert beside.data_preprocessor is beside.base.data_preprocessor
    assert beside.data_preprocessor.mean.flatten().tolist() == [1, 2, 3]


def test_a_copy_has_a_base_of_its_own(build_method):
    model = build_method(Around, base={"type": "NACLIP", "sigma": 0.8})
    expected = everything(model)
    twin = copy.deepcopy(model)
    assert twin.base.backbone is twin.backbone
    assert twin.backbone is not model.backbone
    twin.base.sigma = 5.0
    assert_equal(everything(model), expected)
    assert not torch.equal(everything(twin)[2], expected[2])


def test_it_moves_as_a_whole(build_method):
    model = build_method(Around, base={"type": "CLIPtrase", "mask_network": {"type": Tiny}}).to("meta")
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"meta"}
    assert model.base.backbone is model.backbone


# -- options of the base by their names -------------------------------------------------------------------------------


def test_options_are_read_and_changed_at_any_depth(build_method):
    model = build_method(Around, base={"type": Around, "base": {"type": "CLIPtrase", "eps": 0.9}})
    assert model.option("base.base.eps") == 0.9
    model.set_option("base.base.eps", 0.7)
    assert model.base.base.eps == 0.7
    assert model.option("window_batch") == 16


def test_steps_and_options_of_the_base_are_found_under_dotted_names(build_method):
    model = build_method(Around, base={"type": Around, "base": {"type": "CLIPtrase"}})
    assert model.timed_steps == tuple(f"base.base.{step}" for step in CLIPtrase.timed_steps)
    assert model.label_options == {f"base.base.{name}" for name in CLIPtrase.label_options}
    assert all(callable(model.option(step)) for step in model.timed_steps)


@pytest.mark.parametrize(
    ("name", "value"), [("base.eps", 0.6), ("base.min_samples", 1), ("base.voting", "mean_logits")]
)
def test_options_that_only_labels_need_change_labels_alone(name, value, build_method):
    """As tools/sweep.py has it: encoded once, labelled with every value."""
    options = {"eps": 0.9, "min_samples": 2}
    model = build_method(Around, test_cfg=WHOLE, base={"type": "CLIPtrase", **options})
    image = torch.randn(3, 48, 64, generator=torch.Generator().manual_seed(0))
    [assembly] = model.inference([image], [{"ori_shape": (48, 64)}])
    before = model.labels_of(assembly)
    model.set_option(name, value)
    other = {**options, name.removeprefix("base."): value}
    fresh = build_method("CLIPtrase", test_cfg=WHOLE, **other)
    expected = fresh.labels_of(fresh.inference([image], [{"ori_shape": (48, 64)}])[0])
    assert torch.equal(model.labels_of(assembly), expected)
    assert not torch.equal(before, expected)


# -- what is not a base -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "said"),
    [
        (None, r"model\.base must be the config of another method, e\.g\. dict\(type='SCLIP'\), but got None"),
        ("SCLIP", r"model\.base must be settings with a type, as in .*, or None, but got 'SCLIP'"),
        ({"sigma": 5}, r"model\.base must be settings with a type"),
        ({"type": "SCLIPP"}, r"model\.base must be the config of another method, .* but got {'type': 'SCLIPP'}"),
        ({"type": "CLIPImageEncoder"}, r"model\.base must be the config of another method"),
        (
            {"type": "SCLIP", "test_cfg": WHOLE},
            r"model\.base\.test_cfg has no effect: set model\.test_cfg, which a base",
        ),
        ({"type": "SCLIP", "backbone": {}}, r"model\.base\.backbone has no effect: set model\.backbone"),
        ({"type": "SCLIP", "decode_head": {}}, r"model\.base\.decode_head has no effect: set model\.decode_head"),
        ({"type": "CLIPtrase", "eps": 0}, r"^model\.base\.eps must be a positive number and model\.base\.min_samples"),
        ({"type": "NACLIP", "sigma": 0}, r"^model\.base\.sigma must be positive or None, but got 0"),
        ({"type": "SCLIP", "residual": 2}, r"^model\.base\.residual must be one of \[None, True, False\], but got 2"),
        ({"type": "SCLIP", "pamr_steps": -1}, r"^model\.base\.pamr_steps must be .* and model\.pamr_dilations"),
        (
            {"type": "CLIPtrase", "mask_network": {"type": "DINOv2", "pretrained": "/no/such"}},
            r"Folder /no/such not found: set model\.base\.mask_network\.pretrained",
        ),
        (
            {"type": Around, "base": {"type": "NACLIP", "sigma": 0}},
            r"^model\.base\.base\.sigma must be positive or None",
        ),
        (
            {"type": "LHTCLIP", "base": {"type": "SCLIP"}, "tau": 2},
            r"^model\.base\.tau must lie in \[0, 1\], but got 2",
        ),
    ],
    ids=str,
)
def test_what_is_no_base_is_named(base, said, build_method):
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        build_method(Around, base=base)


@pytest.mark.parametrize("around", [{"type": "SCLIP"}, {"type": Around, "base": {"type": "SCLIP"}}], ids=str)
@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("residual", 2, r"^model\.residual must be one of"),
        ("precision", "fp8", r"^model\.precision must be one of \['fp32', 'bf16', 'fp16'\], but got 'fp8'"),
        ("test_cfg", {"mode": "no"}, r"^model\.test_cfg\.mode must be"),
        ("backbone", {"position_mode": "no"}, r"^model\.backbone\.position_mode must be one of"),
        ("decode_head", {"logit_scale": 0}, r"^model\.decode_head\.logit_scale must lie in"),
    ],
)
def test_what_a_base_shares_keeps_its_name(option, value, said, around, build_method):
    with pytest.raises(ValueError, match=said):
        build_method(Around, base=around, **{option: value})


def test_without_a_base_that_is_said(build_method):
    with pytest.raises(ValueError, match=r"^Around needs the option model\.base"):
        build_method(Around)


def test_classes_are_found_by_name_and_as_they_are():
    assert method_class({"type": "SCLIP"}) is method_class({"type": SCLIP}) is SCLIP
    for other in (None, "SCLIP", {}, {"type": "TextHead"}, {"type": "no such"}, {"type": nn.Linear}):
        assert method_class(other) is None


def test_methods_come_from_outside_in(build_method):
    model = build_method(Around, base={"type": Around, "base": {"type": "SCLIP"}})
    assert list(from_outside_in(model)) == [model, model.base, model.base.base]
    assert list(from_outside_in(model.base.base)) == [model.base.base]


def test_a_method_around_that_labels_in_its_own_way_is_no_base_of_dslo(build_method):
    """Nor is its labelling step forgotten where another one is around it."""
    with pytest.raises(ValueError, match="it cannot keep the labelling step of its base Upside"):
        build_method("DSLO", test_cfg=WHOLE, mode="kl", base={"type": Upside, "base": {"type": "SCLIP"}})


def test_a_method_around_may_refine(build_method):
    class Flat(AroundMethod):
        """Takes all classes but one away."""

        def refine(self, scene, canvases):
            refined = super().refine(scene, canvases)
            dense = torch.full_like(refined.logits.dense(), -1.0)
            dense[3] = 1.0  # class 2
            return type(refined)(PixelCanvas(dense))

    model = build_method(Flat, base={"type": "SCLIP"})
    labels = model.predict([torch.zeros(3, 48, 40)])[0].pred_sem_seg.data
    assert torch.equal(labels, torch.full_like(labels, 2))
