"""What every method promises, checked on every registered method; and the life cycle that they share."""

import copy
from dataclasses import dataclass

import pytest
import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_tfovss.methods.stages import LOGITS
from mmseg_tfovss.ops import pamr as pamr_module
from mmseg_tfovss.registry import MODELS
from tests.methods.own_config import SLIDE, WHOLE, registered_methods

METHODS = registered_methods()
# Methods, and options beside those of their config: those on pocket leave PAMR out, and find no clusters or distractors
# here.
CLUSTERS = {"eps": 0.9, "min_samples": 2}
VARIANTS = {
    **{name: (name, {}) for name in METHODS},
    "NACLIP with PAMR": ("NACLIP", {"pamr_steps": 10}),
    "CLIPtrase with clusters": ("CLIPtrase", CLUSTERS),
    "CLIPtraseSAM with clusters": ("CLIPtraseSAM", CLUSTERS),
    "RFCLIP with distractors": ("RFCLIP", {"sigma": 1.6, "alpha": 0.2, "t": 0.9}),
    "RFCLIP of the paper": ("RFCLIP", {"refocus": "paper", "sigma": 20.0}),
}
MODES = {
    "whole": WHOLE,
    "slide": SLIDE,
    "oblong slide": {"mode": "slide", "crop_size": (24, 40), "stride": (16, 24)},
}


@pytest.fixture(scope="session")
def build_variant(build_own):
    """Build one of ``VARIANTS``."""

    def build(variant, **options):
        name, beside = VARIANTS[variant]
        return build_own(name, **{**beside, **options})

    return build


def random_images(*sizes, seed=0):
    """uint8 BGR images (3, h, w)."""
    draw = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 256, (3, *size), generator=draw, dtype=torch.uint8) for size in sizes]


def samples(*sizes):
    return [SegDataSample(metainfo={"ori_shape": size}) for size in sizes]


@dataclass(frozen=True)
class Answer:
    """What a method says of an image: refined logits (Q, H, W) in cosines, labels (H, W), queries that it kept.

    Scores of classes, (C, H, W), of a method that has merged the queries to them, may be larger than cosines.
    """

    dense: Tensor
    labels: Tensor
    queries: Tensor | None

    def assert_like(self, other, atol, **options):
        """The same labels, and the same logits: cosines within ``atol``, scores of kept queries as solvers can.

        Where scores are larger than cosines, so is what they may differ by.
        """
        assert (self.queries is None) == (other.queries is None)
        if self.queries is not None:
            assert torch.equal(self.queries, other.queries)
        largest = max(1.0, float(other.dense.abs().max()))
        within = {"atol": largest * atol, "rtol": 0} if self.queries is None else {"atol": 1e-4, "rtol": 1e-3}
        torch.testing.assert_close(self.dense, other.dense, **within, **options)
        assert torch.equal(self.labels, other.labels)


@torch.inference_mode()
def answers(model, images, ori_shapes):
    """Answers to uint8 images, all of them in one batch."""
    data = model.data_preprocessor({"inputs": images, "data_samples": samples(*ori_shapes)})
    assemblies = model.inference(data["inputs"], [sample.metainfo for sample in data["data_samples"]])
    labelled = model.postprocess_result(assemblies, data["data_samples"])
    return [
        Answer(
            dense=model.dense_logits(one) / model.logit_factor,
            labels=sample.pred_sem_seg.data[0],
            queries=model.refine(one.scene, one.canvases).queries,
        )
        for one, sample in zip(assemblies, labelled, strict=True)
    ]


def dense_and_labels(model, images, ori_shapes):
    """Per image: refined cosine logits (Q, H, W) and labels (H, W), all images in one batch."""
    return [(answer.dense, answer.labels) for answer in answers(model, images, ori_shapes)]


def test_methods_are_registered():
    assert len(METHODS) >= 5
    assert all(issubclass(MODELS.get(name), EncoderDecoder) for name in METHODS)


@torch.inference_mode()
def test_grey_levels_are_the_images_own_and_unrounded_ones_the_towers(build_method):
    """OpenAI's statistics are rounded to 0.001 grey levels where images are normalised."""
    model = build_method("SCLIP")
    pixels = torch.arange(256.0).expand(1, 3, 2, 256)
    images = (pixels - model.data_preprocessor.mean) / model.data_preprocessor.std
    torch.testing.assert_close(model.grey_levels(images), pixels, atol=1e-4, rtol=0)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (model.backbone.mean, model.backbone.std))
    unrounded = model.grey_levels(images, unrounded=True)
    torch.testing.assert_close(unrounded, 255 * (images * std + mean))
    assert 1e-4 < (unrounded - pixels).abs().max() < 2e-3
    given = build_method("SCLIP", data_preprocessor={"type": "CLIPPreprocessor", "mean": [1.0, 2.0, 3.0]})
    assert torch.equal(given.grey_levels(images, unrounded=True), given.grey_levels(images))


@pytest.mark.parametrize(
    "mode", ["whole", *(pytest.param(one, marks=pytest.mark.slow) for one in ("slide", "oblong slide"))]
)
@pytest.mark.parametrize("method", VARIANTS)
def test_batch_of_two_equals_two_singles(method, mode, build_variant):
    model = build_variant(method, test_cfg=MODES[mode])
    images, sizes = random_images((48, 40), (48, 40)), [(60, 50), (30, 35)]
    both = answers(model, images, sizes)
    singles = [answers(model, [image], [size])[0] for image, size in zip(images, sizes, strict=True)]
    for found, single, size in zip(both, singles, sizes, strict=True):
        assert found.dense.shape == (4 if model.of_classes else 7, *size)
        assert found.labels.shape == size
        found.assert_like(single, atol=2e-6)
    assert not torch.equal(both[0].dense[:, :30, :35], both[1].dense)


@pytest.mark.parametrize("mode", [pytest.param("whole", marks=pytest.mark.slow), "slide"])
@pytest.mark.parametrize("method", VARIANTS)
def test_images_of_different_sizes_share_a_batch(method, mode, build_variant):
    """And two of one size, whose windows share passes."""
    model = build_variant(method, test_cfg=MODES[mode])
    images = random_images((48, 40), (33, 71), (20, 24), (48, 40))
    sizes = [(50, 41), (33, 71), (64, 9), (50, 41)]
    together = answers(model, images, sizes)
    for image, size, found in zip(images, sizes, together, strict=True):
        [single] = answers(model, [image], [size])
        assert found.dense.shape == (4 if model.of_classes else 7, *size)
        found.assert_like(single, atol=2e-6)
    assert not torch.equal(together[0].dense, together[3].dense)


@pytest.mark.parametrize(
    "mode", ["slide", *(pytest.param(one, marks=pytest.mark.slow) for one in ("whole", "oblong slide"))]
)
@pytest.mark.parametrize("method", VARIANTS)
def test_float32_equals_float64(method, mode, build_variant):
    model = build_variant(method, test_cfg=MODES[mode])
    image, size = random_images((41, 56)), [(60, 80)]
    [single] = answers(model, image, size)
    model = model.double()
    with torch.inference_mode():
        inputs = torch.stack(model.data_preprocessor({"inputs": image})["inputs"])
        assert model.patch_logits(inputs).dtype == torch.float64
    [double] = answers(model, image, size)
    single.assert_like(double, atol=2e-5 if model.of_classes else 5e-6, check_dtype=False)


@pytest.mark.parametrize("method", VARIANTS)
def test_window_batch_changes_nothing(method, build_variant):
    images, sizes = random_images((40, 72), (40, 40)), [(40, 72), (40, 40)]
    results = [answers(build_variant(method, window_batch=n), images, sizes) for n in (1, 5)]
    for found, other in zip(*results, strict=True):
        found.assert_like(other, atol=2e-6)


@pytest.mark.parametrize("method", VARIANTS)
def test_labels_follow_the_image(method, build_variant):
    """Mirror-free sanity: logits vary over the image, and are cosines unless queries are rejected or merged."""
    model = build_variant(method)
    [answer] = answers(model, random_images((48, 64)), [(48, 64)])
    dense = answer.dense
    if answer.queries is None:
        assert model.of_classes or dense.abs().max() <= 1 + 1e-5
    else:
        assert len(answer.queries) > 0
        rejected = torch.ones(len(dense), dtype=torch.bool).index_fill(0, answer.queries, False)
        assert (dense[rejected] == -torch.inf).all()
        dense = dense[answer.queries]
    assert dense.isfinite().all()
    assert (dense.amax((1, 2)) - dense.amin((1, 2))).min() > 1e-3


@pytest.mark.parametrize("method", VARIANTS)
def test_nothing_is_trained(method, build_variant):
    model = build_variant(method)
    assert not model.training
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    with pytest.raises(NotImplementedError, match="is training-free: it has no loss"):
        model.loss(torch.zeros(1, 3, 32, 32), [])


@pytest.mark.parametrize("mode", [pytest.param("whole", marks=pytest.mark.slow), "slide"])
@pytest.mark.parametrize("method", VARIANTS)
def test_refining_and_labelling_leave_the_assembly_as_it_was(method, mode, build_variant):
    """Whoever takes blocks of a canvas copies before writing."""
    model = build_variant(method, test_cfg=MODES[mode], decode_head={"prob_threshold": 0.1})
    images, sizes = random_images((48, 40)), [(60, 50)]
    data = model.data_preprocessor({"inputs": images, "data_samples": samples(*sizes)})
    [assembly] = model.inference(data["inputs"], [sample.metainfo for sample in data["data_samples"]])
    before = {name: canvas.dense().clone() for name, canvas in assembly.canvases.items()}
    labels, dense = model.labels_of(assembly), model.dense_logits(assembly)
    assert torch.equal(model.labels_of(assembly), labels)
    assert torch.equal(model.dense_logits(assembly), dense)
    for name, canvas in assembly.canvases.items():
        assert torch.equal(canvas.dense(), before[name])


@pytest.mark.parametrize("method", VARIANTS)
def test_networks_are_declared_with_name_and_hash(method, build_variant):
    model = build_variant(method)
    networks = model.networks()
    assert next(iter(networks)) == "backbone"
    assert networks["backbone"] is model.backbone
    for network in networks.values():
        assert isinstance(network.name, str)
        assert len(network.weights_hash) == 64
    declared = {id(parameter) for network in networks.values() for parameter in network.parameters()}
    assert {id(parameter) for parameter in model.parameters()} == declared


def test_test_step_takes_uint8_bgr_and_stores_labels(build_method):
    [sample] = build_method("SCLIP").test_step(
        {"inputs": random_images((48, 40)), "data_samples": samples((60, 50))},
    )
    labels = sample.pred_sem_seg.data
    assert labels.shape == (1, 60, 50)
    assert labels.dtype == torch.int64
    assert set(labels.unique().tolist()) <= {0, 1, 2, 3}
    assert len(labels.unique()) > 1


def test_without_data_samples_the_inputs_are_the_originals(build_method):
    model = build_method("SCLIP")
    image = torch.stack(model.data_preprocessor({"inputs": random_images((48, 40))})["inputs"])
    [given] = model.predict(image, samples((48, 40)))
    [bare] = model.predict(image)
    assert torch.equal(given.pred_sem_seg.data, bare.pred_sem_seg.data)


def test_metas_are_not_changed(build_method):
    model = build_method("SCLIP")
    metas = [{"ori_shape": (50, 44), "img_shape": (48, 40)}]
    before = copy.deepcopy(metas)
    model.inference([torch.zeros(3, 48, 40)], metas)
    assert metas == before


def test_inputs_are_not_changed(build_method):
    model = build_method("NACLIP", pad_to=16)
    image = torch.randn(3, 40, 44, generator=torch.Generator().manual_seed(0))
    before = image.clone()
    model.predict([image], samples((40, 44)))
    assert torch.equal(image, before)


@pytest.mark.parametrize(("window_batch", "passes"), [(1, 12), (4, 4), (5, 3), (16, 2)])
def test_windows_of_equal_size_share_forward_passes(window_batch, passes, build_method, monkeypatch):
    """Two images of 2x3 and 2x2 windows of 32 pixels, and one of 2x1 windows of 32x24."""
    model = build_method("SCLIP", window_batch=window_batch)
    calls = []
    inner = model.encode
    monkeypatch.setattr(model, "encode", lambda windows: calls.append(tuple(windows.images.shape)) or inner(windows))
    images = [torch.zeros(3, 48, 64), torch.zeros(3, 48, 48), torch.zeros(3, 48, 24)]
    model.inference(images, [{"ori_shape": image.shape[1:]} for image in images])
    assert len(calls) == passes
    assert max(shape[0] for shape in calls) <= window_batch
    assert sum(shape[0] for shape in calls if shape[3] == 32) == 10
    assert sum(shape[0] for shape in calls if shape[3] == 24) == 2


def test_encode_decode_gives_logits_at_the_size_of_the_inputs(build_method):
    model = build_method("SCLIP", test_cfg={"mode": "whole"})
    inputs = torch.randn(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = model.encode_decode(inputs, [{}, {}])
        assert torch.equal(model(inputs, mode="tensor"), logits)
        [found, _] = model.inference(inputs, [{"ori_shape": (40, 56)}] * 2)
        torch.testing.assert_close(logits[0], found.canvases[LOGITS].dense(), atol=2e-6, rtol=0)
    assert logits.shape == (2, 7, 40, 56)


def test_whole_upsampling_direct_and_two_step(build_method):
    inputs = torch.randn(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    found = {}
    for way in ("direct", "two_step"):
        model = build_method("SCLIP", test_cfg={"mode": "whole"}, whole_upsampling=way)
        with torch.inference_mode():
            found[way] = model.inference(inputs, [{"ori_shape": (75, 90)}])[0].canvases[LOGITS].dense()
            patches = model.patch_logits(inputs)
            resized = model.encode_decode(inputs)
    options = {"size": (75, 90), "mode": "bilinear", "align_corners": False}
    expected = {
        way: torch.nn.functional.interpolate(source, **options)[0]
        for way, source in (("direct", patches), ("two_step", resized))
    }
    for way, dense in found.items():
        torch.testing.assert_close(dense, expected[way], atol=2e-6, rtol=0)
    assert (found["direct"] - found["two_step"]).abs().max() > 1e-3


def test_padded_windows_see_zeros_outside(build_method, monkeypatch):
    model = build_method("ClearCLIP", pad_to=16)
    seen = []
    inner = model.encode
    monkeypatch.setattr(model, "encode", lambda windows: seen.append(windows.images) or inner(windows))
    model.inference([torch.ones(3, 29, 20)], [{"ori_shape": (29, 20)}])
    [window] = seen[0]
    assert window.shape == (3, 32, 32)
    expected = torch.zeros(3, 32, 32)
    expected[:, 1:30, 6:26] = 1
    assert torch.equal(window, expected)


def test_pamr_refines_all_queries_whatever_the_tiling(build_method, monkeypatch):
    image, size = random_images((48, 40)), [(30, 25)]
    model = build_method("SCLIP", pamr_steps=3, pamr_dilations=(1, 2), decode_head={"prob_threshold": 0.2})
    [(dense, labels)] = dense_and_labels(model, image, size)
    [(raw, _)] = dense_and_labels(build_method("SCLIP"), image, size)
    data = model.data_preprocessor({"inputs": image})["inputs"][0]
    resized = torch.nn.functional.interpolate(data[None], size=size[0], mode="bilinear", align_corners=False)[0]
    expected = pamr_module.pamr(raw, pamr_module.pamr_affinity(resized, (1, 2)), (1, 2), 3)
    torch.testing.assert_close(dense, expected, atol=2e-6, rtol=0)
    assert (dense - raw).abs().max() > 1e-3
    monkeypatch.setattr("mmseg_tfovss.ops.pamr._ELEMENTS", 2 * 30 * 25)
    [(tiled, labels_tiled)] = dense_and_labels(model, image, size)
    torch.testing.assert_close(tiled, dense, atol=1e-6, rtol=0)
    assert torch.equal(labels_tiled, labels)


def test_text_features_are_computed_once(build_method, monkeypatch):
    model = build_method("SCLIP")
    model.prepare()
    monkeypatch.setattr(model.decode_head, "set_text_features", None)
    model.prepare()
    assert model.decode_head.text_features.shape == (7, 32)


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("bf16", 0.05), pytest.param("fp16", 0.01, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("method", METHODS)
def test_half_precision_stays_close(method, precision, tolerance, build_own):
    inputs = torch.randn(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    exact, half = build_own(method), build_own(method, precision=precision)
    with torch.inference_mode():
        exact.prepare()
        half.prepare()
        expected, found = exact.patch_logits(inputs), half.patch_logits(inputs)
    assert found.dtype == torch.float32
    assert 0 < (found - expected).abs().max() / exact.logit_factor < tolerance


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_batch": 0}, r"model\.window_batch must be a whole number, at least 1, but got 0"),
        ({"whole_upsampling": "bicubic"}, r"must be one of \['direct', 'two_step'\], but got 'bicubic'"),
        ({"pamr_steps": -1}, r"model\.pamr_steps must be a whole number, .* got -1 and \(8, 16\)"),
        ({"pamr_dilations": ()}, r"model\.pamr_dilations positive"),
        ({"pamr_dilations": (8, 0)}, r"model\.pamr_dilations positive .* \(8, 0\)"),
        ({"precision": "fp8"}, r"precision must be one of \['fp32', 'bf16', 'fp16'\], but got 'fp8'"),
        ({"test_cfg": {"mode": "crop"}}, r"model\.test_cfg\.mode must be 'whole' or 'slide', but got 'crop'"),
        ({"test_cfg": {"crop_size": 32}}, r"model\.test_cfg\.mode must be .* but got None"),
        ({"test_cfg": {"mode": "slide", "crop_size": 32}}, r"model\.test_cfg\.stride must be .* but got None"),
        ({"test_cfg": {"mode": "slide", "stride": 16}}, r"model\.test_cfg\.crop_size must be .* but got None"),
        ({"test_cfg": {"mode": "slide", "crop_size": 32, "stride": 0}}, r"model\.test_cfg\.stride .* got 0"),
        ({"test_cfg": {"mode": "slide", "crop_size": (32, -1), "stride": 8}}, r"crop_size .* got \(32, -1\)"),
        ({"test_cfg": {"mode": "slide", "crop_size": (1, 2, 3), "stride": 8}}, r"crop_size .* got \(1, 2, 3\)"),
        ({"test_cfg": {"mode": "slide", "crop_size": 32.5, "stride": 8}}, r"crop_size must be .* got 32\.5"),
        (
            {"test_cfg": {"mode": "slide", "crop_size": (32, 16), "stride": 24}},
            r"or pixels lie in no window, but got \(24, 24",
        ),
        ({"pad_to": -16}, r"model\.pad_to .* got -16"),
        ({"pad_to": "pach"}, r"model\.pad_to .* 'patch' or None, but got 'pach'"),
        ({"window_batch": "a"}, r"model\.window_batch must be a whole number, at least 1, but got 'a'"),
        ({"pamr_dilations": 8}, r"model\.pamr_dilations positive .* 8"),
        ({"pamr_steps": 2.5}, r"model\.pamr_steps .* got 2\.5"),
        (
            {"test_cfg": {"mode": "slide", "crop_size": 32, "strde": 8}},
            r"test_cfg has unknown options \['strde'\]; valid: \['crop_size', 'mode', 'stride'\]",
        ),
    ],
)
def test_settings_out_of_range_are_named(options, message, build_method):
    with pytest.raises(ValueError, match=message):
        build_method("SCLIP", **options)


@pytest.mark.parametrize("test_cfg", MODES.values(), ids=MODES)
def test_image_smaller_than_a_patch_is_named(test_cfg, build_method):
    model = build_method("SCLIP", test_cfg=test_cfg)
    with pytest.raises(ValueError, match=r"image .*of 7x40 pixels .* is smaller than one 8x8 patch"):
        model.predict([torch.zeros(3, 7, 40)])
    with pytest.raises(ValueError, match=r"image .*of 7x\d+ pixels .* is smaller than one 8x8 patch"):
        model.predict([torch.zeros(3, 7, 40)], samples((70, 400)))


def test_padding_to_patches_follows_the_network(build_method):
    model = build_method("SCLIP", pad_to="patch")
    assert model.pad_to == model.backbone.patch_size
    assert build_method("ClearCLIP").pad_to == model.backbone.patch_size
    assert build_method("ClearCLIP", pad_to=None).pad_to is None


@pytest.mark.parametrize("test_cfg", [{"mode": "slide", "crop_size": 32, "stride": 16}, {"mode": "whole"}])
def test_mmsegs_own_inference_names_give_logits_at_input_size(test_cfg, build_method):
    model = build_method("SCLIP", test_cfg=test_cfg)
    images = torch.randn(2, 3, 48, 40)
    logits = model.slide_inference(images)
    assert logits.shape == (2, model.decode_head.out_channels, 48, 40)
    if test_cfg["mode"] == "whole":
        torch.testing.assert_close(model.whole_inference(images), model.encode_decode(images), atol=1e-5, rtol=0)
