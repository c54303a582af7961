"""CLIPtrase: the official outputs, the recovery block, and what its clusters do."""

from pathlib import Path
from threading import current_thread

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_tfovss.config import load_config
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.engine.single import load_image
from mmseg_tfovss.methods.cliptrase import LOCAL, ROWS
from mmseg_tfovss.methods.stages import LOGITS, Scene, Windows
from mmseg_tfovss.profiling.random_weights.text import use_random_text
from mmseg_tfovss.registry import DATASETS, MODELS
from tests.methods import reference
from tests.mini import WIDTH
from tests.parity.cases import FOLDER, load_case, measure, parity_cases

CASES = parity_cases("cliptrase")
WHOLE = {"mode": "whole"}
CONFIGS = Path(__file__).parents[2] / "configs" / "cliptrase"


def patches_of(assembly):
    """The patch maps (C, h, w) of a whole image, by name."""
    return {name: canvas.patches for name, canvas in assembly.canvases.items()}


def test_there_are_official_outputs():
    assert len(CASES) >= 5


@pytest.fixture(scope="module", params=CASES)
def case(request, tiny_clip):
    """Settings, official arrays, our model, the network's input and our assembly of it."""
    settings, official = load_case("cliptrase", request.param)
    background = [", ".join(settings["background_words"])] if settings["background"] else []
    model = MODELS.build(
        {
            "type": "CLIPtrase",
            "backbone": {"type": "CLIPImageEncoder", "arch": "auto", "pretrained": str(tiny_clip)},
            "decode_head": {"type": "TextHead", "vocabulary": background + settings["labels"]},
            "test_cfg": WHOLE,
            "short_side": settings["image_size"],
            "centre_square": True,
            "eps": settings["eps"],
            "min_samples": settings["min_samples"],
            "cls_weighting": settings["dataset_rule"] == "VOC20",
        }
    )
    square, image = load_image(model, FOLDER / settings["image"])
    [assembly] = model.inference([image], [{"ori_shape": square.shape[:2]}])
    return settings, official, model, image, assembly


def test_input_and_correlation_equal_official_code(case):
    settings, official, _, image, assembly = case
    assert np.abs(image[:, ::16, ::16].numpy() - official["input_sub"]).max() < 1e-6
    rows = assembly.canvases[ROWS].patches.flatten(1).numpy()
    assert rows.shape == official["B"].shape
    assert np.abs(rows - official["B"]).max() < min(settings["tol_B"], 1e-5)


@torch.inference_mode()
def test_clusters_regions_and_labels_equal_official_code(case):
    settings, official, model, _, assembly = case
    clusters = model.clusters(patches_of(assembly))
    assert np.array_equal(clusters.numpy(), official["dbscan_labels"])
    regions = model.find_regions(assembly.scene, assembly.canvases).numpy()
    assert (regions == official["region"]).mean() >= settings["min_label_agreement"]
    labels = model.labels_of(assembly).numpy()
    if settings["background"]:  # class 0 here, class C there
        labels = np.where(labels == 0, settings["background_id"], labels - 1)
    assert (labels == official["pred"]).mean() >= settings["min_label_agreement"]
    measure("CLIPtrase", "pred", {"pred": labels}, official)
    assert settings["stats"]["changed_by_vote"] > 0


@torch.inference_mode()
def test_logits_equal_official_code(case):
    settings, official, model, image, assembly = case
    words = len(settings["background_words"]) if settings["background"] else 0
    order = [*range(words, model.decode_head.out_channels), *range(words)]  # background words come last there
    step = settings["seg_logits_grid"]
    ours = {
        "seg_logits": model.dense_logits(assembly)[order, ::step, ::step].numpy(),
        "patch_logits": model.patch_logits(image[None])[0, order].numpy(),
    }
    for name, tolerance in (("seg_logits", 5e-3), ("patch_logits", 1e-3)):
        assert np.abs(ours[name] - official[name]).max() < min(settings["tol_logits"], tolerance)
        measure("CLIPtrase", name, ours, official)


# -- recovery -----------------------------------------------------------------------------------------------------


def recovered(model, tokens, grid=(2, 3), **given):
    """The recovery block, in float32."""
    tokens = tokens.float()
    stream = Stream(images=torch.empty(len(tokens), 3, 0, 0), grid=grid, tokens=tokens, given=given)
    with torch.inference_mode():
        return model.last_block(model.backbone.blocks[-1], tokens, stream).double()


@pytest.mark.parametrize("recovery", ["three_softmax", "averaged", "self"])
def test_recovery_is_its_formula(recovery, build_method, mini_state):
    tokens = reference.random_tokens(2, (2, 3))
    weights = reference.last_block_weights(mini_state)
    query, key, value = reference.qkv(weights, tokens)
    if recovery == "three_softmax":
        parts = [reference.attend(one, one, value) for one in (query, key, value)]
        heads = [sum(head) for head in zip(*parts, strict=True)]
    elif recovery == "averaged":
        cosines = [F.cosine_similarity(x[:, :, None], x[:, None], dim=-1) for x in (*query, *key, *value)]
        attention = (8 * sum(cosines) / len(cosines)).softmax(dim=-1)
        heads = [attention @ head for head in value]
    else:
        heads = value
    expected = tokens + reference.merge(weights, heads)
    expected = expected + reference.feed_forward(weights, expected)
    found = recovered(build_method("CLIPtrase", recovery=recovery), tokens)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_without_recovery_the_block_is_clips(build_method):
    tokens = reference.random_tokens(1, (2, 3))
    model = build_method("CLIPtrase", recovery="none")
    with torch.inference_mode():
        expected = model.backbone.blocks[-1](tokens.float()).double()
    assert torch.equal(recovered(model, tokens), expected)
    assert (recovered(build_method("CLIPtrase"), tokens) - expected).abs().max() > 0.1


def test_recovery_in_an_earlier_block_keeps_what_belongs_to_it(build_method, mini_state):
    """Block 1 by hand; ``residual`` and ``feed_forward`` are those of the last block, whose attention is CLIP's."""
    inputs = torch.randn(1, 3, 16, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model = build_method("CLIPtrase", recovery_layer=1, residual=False, feed_forward=False).double()
    with torch.inference_mode():
        tokens = model.backbone.embed(inputs)
        weights = reference.block_weights(mini_state, 1)
        query, key, value = reference.qkv(weights, tokens)
        parts = [reference.attend(one, one, value) for one in (query, key, value)]
        tokens = tokens + reference.merge(weights, [sum(head) for head in zip(*parts, strict=True)])
        tokens = tokens + reference.feed_forward(weights, tokens)
        expected = model.backbone.blocks[2].attention(model.backbone.blocks[1](tokens))
        found = model.run_blocks(inputs).tokens
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def images(*sizes, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(3, *size, generator=draw) for size in sizes]


def assembled(model, image):
    return model.inference([image], [{"ori_shape": image.shape[-2:]}])[0]


def side_by_side(model, image):
    """The patch maps of all names, (C, h, w)."""
    return torch.cat(list(patches_of(assembled(model, image)).values()))


@pytest.mark.parametrize(
    "change",
    [
        {"recovery": "none"},
        {"recovery": "averaged"},
        {"recovery_layer": 1},
        {"correlation_layer": 1},
        {"similarity": "inner"},
        {"per_head": False},
        {"denoising": "none"},
        {"cluster": "features"},
        {"cls_weighting": True},
    ],
    ids=str,
)
def test_every_option_changes_what_is_clustered_or_classified(change, build_method):
    [image] = images((48, 64))
    usual = side_by_side(build_method("CLIPtrase", test_cfg=WHOLE), image)
    changed = side_by_side(build_method("CLIPtrase", test_cfg=WHOLE, **change), image)
    assert usual.shape != changed.shape or (usual - changed).abs().max() > 1e-3


class Noted:
    """A plug-in that writes down when it is asked, and may take the place of the first block by leaving it out."""

    def __init__(self, skip_first=False):
        self.skip_first, self.before, self.after = skip_first, [], []

    def run_block(self, number, block, stream, projections):
        self.before.append((number, projections is not None))
        return stream.tokens if self.skip_first and number == 1 else None

    def after_block(self, number, stream):
        self.after.append((number, tuple(stream.tokens.shape), stream.grid))
        return stream.tokens


def test_plugins_are_called_between_the_blocks(build_method):
    model, plugin = build_method("CLIPtrase"), Noted()
    model.plugins.append(plugin)
    model.predict(images((32, 40)))
    blocks = len(model.backbone.blocks)
    assert plugin.after == [(number, (2, 17, WIDTH), (4, 4)) for number in range(1, blocks)]


def test_plugins_take_the_place_of_early_blocks(build_method):
    """Also that of the block whose projections are compared, which come along."""
    model, plugin = build_method("CLIPtrase"), Noted(skip_first=True)
    [image] = images((32, 32))
    usual = side_by_side(model, image)
    model.plugins.append(plugin)
    assert not torch.equal(side_by_side(model, image), usual)
    blocks = len(model.backbone.blocks)
    assert plugin.before == [(number, number == blocks - 1) for number in range(1, blocks)]


# -- the oracle ---------------------------------------------------------------------------------------------------

ORACLE = {"recovery": "within_ground_truth", "cluster": "none"}


def test_within_ground_truth_is_its_formula(build_method, mini_state):
    tokens = reference.random_tokens(1, (2, 3))
    labels = torch.tensor([[4, 4, 255, 0, 4, 255]])
    weights = reference.last_block_weights(mini_state)
    query, key, value = reference.qkv(weights, tokens)
    cosines = [F.cosine_similarity(x[:, :, None], x[:, None], dim=-1) for x in (*query, *key, *value)]
    scores = (8 * sum(cosines) / len(cosines)).exp()
    scores[:, 1:, 0] = 0
    for one in range(6):
        for other in range(6):
            scores[:, 1 + one, 1 + other] *= int(labels[0, one] == labels[0, other])
    attention = scores / scores.sum(dim=-1, keepdim=True)
    expected = tokens + reference.merge(weights, [attention @ head for head in value])
    expected = expected + reference.feed_forward(weights, expected)
    found = recovered(build_method("CLIPtrase", **ORACLE), tokens, labels=labels)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def guided(model, image, labels):
    """The labels that the model finds for a uint8 image, told its true ones; at the size of these."""
    truth = SegDataSample(gt_sem_seg=PixelData(data=labels[None]), metainfo={"ori_shape": labels.shape})
    [sample] = model.test_step({"inputs": [image], "data_samples": [truth]})
    return sample.pred_sem_seg.data[0]


@pytest.mark.parametrize("test_cfg", [WHOLE, None])
def test_ground_truth_matters_to_the_oracle_alone(test_cfg, build_method):
    image = torch.randint(0, 256, (3, 48, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    one = torch.zeros(96, 128, dtype=torch.int64)  # labels have the original's size
    two = one.clone()
    two[:, 64:] = 3
    three = two.clone()
    three[:, 64:] = 255  # the same division under another name
    oracle = build_method("CLIPtrase", **ORACLE, test_cfg=test_cfg)
    found = [guided(oracle, image, labels) for labels in (one, two, three)]
    assert found[0].shape == (96, 128)
    assert not torch.equal(found[0], found[1])
    assert torch.equal(found[1], found[2])
    usual = build_method("CLIPtrase", recovery="averaged", cluster="none", test_cfg=test_cfg)
    assert torch.equal(*(guided(usual, image, labels) for labels in (one, two)))


def test_the_oracle_says_that_it_needs_labels(build_method):
    model = build_method("CLIPtrase", **ORACLE, test_cfg=WHOLE)
    with pytest.raises(ValueError, match=r"model\.recovery='within_ground_truth' is an oracle, for an ablation only"):
        model.predict(images((48, 64)))


def test_the_oracle_runs_under_the_papers_protocol(tmp_path, mini_clip):
    """The labels of the centre square, through the config's own pipeline."""
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (40, 56, 3), dtype=np.uint8), np.zeros((40, 56), np.uint8)
    labels[20:] = 15
    for folder, name, array in (("image", "a.jpg", pixels), ("labels", "a.png", labels)):
        (tmp_path / folder).mkdir()
        Image.fromarray(array).save(tmp_path / folder / name)
    (tmp_path / "val.txt").write_text("a\n")
    options = {
        "short_side": 32,
        "model.backbone.pretrained": str(mini_clip),
        "model.backbone.arch": "auto",
        "model.recovery": "within_ground_truth",
        "test_dataloader.dataset.data_root": str(tmp_path),
        "test_dataloader.dataset.ann_file": "val.txt",
        "test_dataloader.dataset.data_prefix": {"img_path": "image", "seg_map_path": "labels"},
    }
    config = load_config(CONFIGS / "cliptrase_vit-b16_voc21.py", options)
    with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
        [loaded] = [DATASETS.build(config.test_dataloader.dataset)[0]]
    model, asked = MODELS.build(config.model), []
    attend = model.attend
    model.attend = lambda block, tokens, stream: asked.append(stream.given["labels"]) or attend(block, tokens, stream)
    use_random_text(model)
    [sample] = model.test_step({"inputs": [loaded["inputs"]], "data_samples": [loaded["data_samples"]]})
    assert sample.pred_sem_seg.data.shape == (1, 32, 32)
    assert asked[0].tolist() == [[1] * 8 + [16] * 8]


# -- clusters ---------------------------------------------------------------------------------------------------------


def labels_of(model, *inputs):
    return [sample.pred_sem_seg.data[0] for sample in model.predict(list(inputs))]


def test_noise_alone_leaves_the_pixels_labels(build_method):
    [image] = images((48, 64))
    [found] = labels_of(build_method("CLIPtrase", test_cfg=WHOLE, eps=1e-6, min_samples=3), image)
    [plain] = labels_of(build_method("CLIPtrase", test_cfg=WHOLE, cluster="none"), image)
    assert torch.equal(found, plain)


@pytest.mark.parametrize("voting", ["majority", "mean_logits"])
def test_one_cluster_gives_one_class(voting, build_method):
    [image] = images((48, 64))
    model = build_method("CLIPtrase", test_cfg=WHOLE, eps=100, min_samples=1, voting=voting)
    [found] = labels_of(model, image)
    [plain] = labels_of(build_method("CLIPtrase", test_cfg=WHOLE, cluster="none"), image)
    assert len(plain.unique()) > 1
    assert len(found.unique()) == 1
    if voting == "majority":
        assert int(found[0, 0]) == int(plain.flatten().bincount().argmax())
    else:
        mean = model.dense_logits(assembled(model, image)).mean(dim=(1, 2))
        assert int(found[0, 0]) == int(model.decode_head.query_class[mean.argmax()])


def test_every_patch_a_cluster_of_its_own(build_method):
    [image] = images((40, 64))
    model = build_method("CLIPtrase", test_cfg=WHOLE, eps=1e-6, min_samples=1)
    assembly = assembled(model, image)
    assert model.clusters(patches_of(assembly)).tolist() == list(range(40))
    assert model.labels_of(assembly).shape == (40, 64)


def test_regions_take_the_class_of_most_of_their_pixels(build_method):
    [image] = images((64, 80))
    model = build_method("CLIPtrase", test_cfg=WHOLE, eps=0.9, min_samples=2)
    assembly = assembled(model, image)
    regions, voted = model.find_regions(assembly.scene, assembly.canvases), model.labels_of(assembly)
    [plain] = labels_of(build_method("CLIPtrase", test_cfg=WHOLE, cluster="none"), image)
    assert len(regions.unique()) > 1
    for region in regions.unique():
        inside = regions == region
        assert voted[inside].unique().tolist() == [int(plain[inside].bincount().argmax())]


def test_threshold_counts_for_a_regions_mean(build_method):
    inputs = [image for seed in range(4) for image in images((48, 64), seed=seed)]
    options = {"test_cfg": WHOLE, "eps": 100, "min_samples": 1, "voting": "mean_logits"}
    low = labels_of(build_method("CLIPtrase", **options, decode_head={"prob_threshold": 0.0}), *inputs)
    high = labels_of(build_method("CLIPtrase", **options, decode_head={"prob_threshold": 1.0}), *inputs)
    assert any(int(labels[0, 0]) != 0 for labels in low)
    assert not torch.stack(high).any()


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_image_gives_finite_logits_and_labels(value, build_method):
    for options in ({"test_cfg": WHOLE}, {}):
        model = build_method("CLIPtrase", **options)
        assembly = assembled(model, torch.full((3, 48, 40), value))
        assert all(maps.isfinite().all() for maps in patches_of(assembly).values())
        assert model.labels_of(assembly).shape == (48, 40)


def test_global_patches_are_not_clustered(build_method):
    [image] = images((48, 64))
    options = {"test_cfg": WHOLE, "similarity": "inner", "denoising": "self_weight", "eps": 1e9, "min_samples": 1}
    model = build_method("CLIPtrase", **options)
    maps = patches_of(assembled(model, image))
    local = maps[LOCAL].clone()
    assert local.shape == (1, 6, 8)
    local.flatten()[::2] = 0
    clusters = model.clusters({**maps, LOCAL: local})
    assert clusters[::2].tolist() == [-1] * 24
    assert clusters[1::2].tolist() == [0] * 24


def test_rows_may_be_clustered_at_length_one(build_method):
    """Eq. 4: at length 1 no two rows are further apart than 2."""
    [image] = images((48, 64))
    far = {"test_cfg": WHOLE, "similarity": "inner", "denoising": "none", "min_samples": 1, "eps": 2.0}
    counts = []
    for normalise_rows in (False, True):
        model = build_method("CLIPtrase", **far, normalise_rows=normalise_rows)
        counts.append(int(model.clusters(patches_of(assembled(model, image))).max()) + 1)
    assert counts[0] > counts[1] == 1


# -- windows ----------------------------------------------------------------------------------------------------------


def encoded(model, windows):
    """Maps of windows (n, 3, h, w), each of an image of its own."""
    return model.encode(Windows(windows, [Scene(window, tuple(window.shape[-2:])) for window in windows]))


def test_patches_of_a_window_share_the_mean_logits_of_their_region(build_method):
    model = build_method("CLIPtrase", eps=0.9, min_samples=2)
    plain = build_method("CLIPtrase", cluster="none")
    [window] = images((32, 32))
    for one in (model, plain):
        one.prepare()
    with torch.inference_mode():
        voted, own = (encoded(one, window[None])[LOGITS][0].flatten(1) for one in (model, plain))
    values, regions = voted.unique(dim=1, return_inverse=True)
    assert 1 < values.shape[1] < 16
    for region in range(values.shape[1]):
        torch.testing.assert_close(values[:, region], own[:, regions == region].mean(dim=1))


def test_windows_are_clustered_in_threads(build_method, monkeypatch):
    """Several at a time, and every one keeps its place."""
    model = build_method("CLIPtrase", eps=0.9, min_samples=2)
    windows = torch.stack(images((32, 32), (32, 32), (32, 32)))
    model.prepare()
    with torch.inference_mode():
        expected = torch.cat([encoded(model, window[None])[LOGITS] for window in windows])
        threads, vote = set(), model.vote_in_window
        monkeypatch.setattr(model, "vote_in_window", lambda maps: threads.add(current_thread()) or vote(maps))
        found = encoded(model, windows)[LOGITS]
    assert current_thread() not in threads
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


def test_windows_of_noise_keep_their_logits(build_method):
    inputs = images((56, 72))
    [found] = labels_of(build_method("CLIPtrase", eps=1e-6, min_samples=2), *inputs)
    [plain] = labels_of(build_method("CLIPtrase", cluster="none"), *inputs)
    assert torch.equal(found, plain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": 0}, r"model\.eps must be a positive number and .* an integer, at least 1, but got 0 and 7"),
        ({"eps": "abc"}, r"model\.eps must be a positive number .* but got 'abc' and 7"),
        ({"min_samples": 0}, r"min_samples an integer, at least 1, but got 1\.1 and 0"),
        ({"min_samples": 2.5}, r"min_samples an integer, at least 1, but got 1\.1 and 2\.5"),
        ({"recovery": "four"}, r"model\.recovery must be one of \['three_softmax', .*\], but got 'four'"),
        ({"similarity": "dice"}, r"model\.similarity must be one of \['cosine', 'inner'\]"),
        ({"denoising": "dice"}, r"model\.denoising must be one of \['cls_subtraction', 'self_weight', 'none'\]"),
        ({"cluster": "pixels"}, r"model\.cluster must be one of \['rows', 'features', 'none'\]"),
        ({"recovery_layer": 0}, r"model\.recovery_layer must be one of \[1, .*\], but got 0"),
        ({"recovery_layer": 99}, r"model\.recovery_layer must be one of \[1, .*\], but got 99"),
        ({"correlation_layer": -1}, r"model\.correlation_layer must be one of \[1, .*\], but got -1"),
    ],
)
def test_wrong_options_are_named(options, message, build_method):
    with pytest.raises(ValueError, match=message):
        build_method("CLIPtrase", **options)
