"""SC-CLIP: the official outputs, its formulas written out, its quirks, and what its parts are for."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmseg.structures import SegDataSample

from mmseg_tfovss.config import load_config
from mmseg_tfovss.datasets.transforms import LoadImage
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.methods.sc_clip import _settings, misread_positions
from tests.methods import reference
from tests.mini import WIDTH
from tests.parity.cases import FOLDER, build_case, check_case, load_case, parity_cases, run_case

CASES = parity_cases("scclip")
ROOT = Path(__file__).parents[2]
WHOLE = {"mode": "whole"}
GRID = (3, 4)


def official_options(settings):
    """The official settings of a case under our names."""
    given = settings["options"]
    return {
        "pre_layer": given["pre_adjust_idx"] + 1,
        "post_layer": given["post_adjust_idx"] + 1,
        "fused_layers": (given["multi_start_idx"] + 1, given["multi_end_idx"]),
        "cls_weight": given["res_cls"],
        "beta": given["beta"],
        "neighbours": given["lof"]["n_neighbors"],
        "contamination": given["lof"]["contamination"],
    }


def build(name, tiny_clip, folder, **options):
    settings, official = load_case("scclip", name)
    return build_case(settings, tiny_clip, folder, "SCCLIP", **options), settings, official


def random_stream(model, batch, grid, seed=0):
    """Random tokens of all blocks before the last one, float64, as they would lie in a stream."""
    blocks = range(1, len(model.backbone.blocks))
    kept = {number: reference.random_tokens(batch, grid, seed + number) for number in blocks}
    tokens = kept[len(blocks)]
    return Stream(torch.empty(batch, 3, 0, 0), grid, tokens, kept_tokens=kept)


@torch.inference_mode()
def last_block(model, stream):
    return model.double().last_block(model.backbone.blocks[-1], stream.tokens, stream)


def images(*sizes, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(3, *size, generator=draw) for size in sizes]


@torch.inference_mode()
def patch_logits(model, inputs):
    model.prepare()
    return model.patch_logits(inputs)


# -- the official code ----------------------------------------------------------------------------------------------


def test_there_are_official_outputs():
    assert len(CASES) >= 3


@pytest.mark.parametrize("name", CASES)
def test_equals_official_code(name, tiny_clip, tmp_path):
    model, settings, official = build(name, tiny_clip, tmp_path)
    for option, value in official_options(settings).items():
        assert tuple(np.ravel(getattr(model, option))[[0, -1]]) == tuple(np.ravel(value)[[0, -1]]), option
    check_case(model, settings, official)


@pytest.mark.parametrize("name", CASES)
def test_anomalies_are_the_official_ones(name, tiny_clip, tmp_path, monkeypatch):
    model, settings, official = build(name, tiny_clip, tmp_path, window_batch=1)
    anomalies, found = model.anomalies, []
    monkeypatch.setattr(model, "anomalies", lambda *given: found.append(anomalies(*given)) or found[-1])
    run_case(model, settings)
    # Windows come in rows, the top-left one first, and the case's own window last; both are the same one.
    for chosen in (found[0], found[-1]):
        assert chosen[0].nonzero().flatten().tolist() == official["outlier_indices"].tolist()


@pytest.fixture(scope="module")
def china(tiny_clip, tmp_path_factory):
    """Official logits of a case's first window, and a function that gives ours with other options."""
    folder = tmp_path_factory.mktemp("china")
    model, settings, official = build("scclip-nobg-china", tiny_clip, folder)
    image = torch.from_numpy(LoadImage()({"img_path": str(FOLDER / settings["image"])})["img"]).permute(2, 0, 1)
    sample = SegDataSample(metainfo={"ori_shape": image.shape[1:]})
    window = model.data_preprocessor({"inputs": [image], "data_samples": [sample]})["inputs"][0][None, :, :224, :224]
    model.prepare()

    def with_options(**options):
        changed, _, _ = build("scclip-nobg-china", tiny_clip, folder, **options)
        changed.decode_head = model.decode_head
        return patch_logits(changed, window)[0]

    return with_options, torch.from_numpy(official["patch_logits"])


@pytest.mark.parametrize(
    "other",
    [
        {"contamination": 0},
        {"neighbours": 10},
        {"beta": 0.95},
        {"fused_layers": ()},
        {"fused_layers": (5, 10)},
        {"pre_layer": 8},
        {"post_layer": 5},
        {"cls_weight": 0.2},
    ],
)
def test_another_setting_is_not_the_official_code(other, china):
    """The paper's ideas removed or changed, one by one: the comparison above would notice each."""
    with_options, official = china
    assert (with_options() - official).abs().max() < 2e-6
    assert (with_options(**other) - official).abs().max() > 1e-4


def test_without_quirks_it_is_not_the_official_code(tiny_clip, tmp_path):
    model, settings, official = build("scclip-nobg-china", tiny_clip, tmp_path, official_quirks=False)
    with pytest.raises(AssertionError, match="seg_logits differs"):
        check_case(model, settings, official)


# -- the formulas ---------------------------------------------------------------------------------------------------


def repaired(patches, abnormal, grid):
    """Abnormal patches (N, D) as means of their normal neighbours, one by one."""
    height, width = grid
    found = patches.clone()
    for i in abnormal:
        row, column = divmod(i, width)
        near = [
            r * width + c
            for r in range(max(row - 1, 0), min(row + 2, height))
            for c in range(max(column - 1, 0), min(column + 2, width))
        ]
        normal = [j for j in near if j not in abnormal]
        if normal:
            found[i] = patches[normal].mean(dim=0)
    return found


def aggregated(patches, source, beta):
    cosines = F.cosine_similarity(source[:, None], source[None], dim=-1)
    kept = torch.where(cosines < beta, 0, cosines)
    return kept / (kept.sum(dim=1, keepdim=True) + 1e-6) @ patches


def attention(weights, patches, middle):
    """ATT of patches (N, D), head by head."""
    cosines = F.cosine_similarity(middle[:, None], middle[None], dim=-1)
    scores = (cosines - cosines.mean()) * 3
    shared = torch.where(scores < 0, -math.inf, scores).softmax(dim=1)
    _, key, value = reference.qkv(weights, patches[None])
    heads = [(shared + (k @ k.transpose(1, 2) / 8).softmax(dim=2)) / 2 @ v for k, v in zip(key, value, strict=True)]
    return reference.merge(weights, heads)[0]


@pytest.mark.parametrize("fused_layers", [(1, 2), (1, 1)])
def test_last_block_is_the_formulas(fused_layers, build_method, mini_state):
    options = {"pre_layer": 1, "post_layer": 2, "cls_weight": 0.7, "beta": 0.02, "contamination": 0.2, "neighbours": 4}
    model = build_method("SCCLIP", fused_layers=fused_layers, official_quirks=False, **options)
    stream, weights = random_stream(model, 2, GRID), reference.last_block_weights(mini_state)
    found = last_block(model, stream)
    chosen = model.anomalies(stream.tokens[:, 1:], GRID)
    assert chosen.sum(dim=1).tolist() == [3, 3]
    for image in range(2):
        abnormal = chosen[image].nonzero().flatten().tolist()
        kept = {number: tokens[image] for number, tokens in stream.kept_tokens.items()}
        deep, middle = (repaired(kept[number][1:], abnormal, GRID) for number in (2, 1))
        first = attention(weights, aggregated(deep, middle, 0.02), middle) + 0.7 * kept[2][0]
        fused = sum(kept[number] for number in range(fused_layers[0], fused_layers[1] + 1))
        second = attention(weights, fused[1:], middle) + 0.7 * fused[0]
        expected = aggregated(first, kept[2][1:], 0.02) + aggregated(second, kept[2][1:], 0.02)
        torch.testing.assert_close(found[image, 1:], expected, atol=1e-5, rtol=0)
        assert torch.equal(found[image, 0], kept[2][0])


def test_what_an_anomaly_looked_like_makes_no_difference(build_method):
    """It is repaired from its neighbours; without repair it is felt everywhere."""
    layers = {"pre_layer": 2, "post_layer": 1, "fused_layers": (1, 1), "neighbours": 4}
    found = {}
    for share in (0.1, 0):
        model = build_method("SCCLIP", contamination=share, **layers)
        for seed in (1, 2):
            stream = random_stream(model, 1, (4, 4))
            stream.tokens[0, 6] = 40 * torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed)).double()
            assert model.anomalies(stream.tokens[:, 1:], (4, 4))[0, 5] == (share > 0)
            found[share, seed] = last_block(model, stream)[:, 1:]
    assert torch.equal(found[0.1, 1], found[0.1, 2])
    assert ((found[0, 1] - found[0, 2]).norm(dim=-1) > 1e-4).all()


def test_settings_follow_the_depth():
    assert _settings(12) == (9, 4, 4, 10, 0.3)
    assert _settings(24) == (17, 7, 9, 19, 0.1)
    for depth in (2, 3, 6, 32):
        pre, post, first, last, weight = _settings(depth)
        assert all(1 <= number < depth for number in (pre, post, first, last))
        assert (first <= last, weight) == (True, 0.3)
    assert _settings(24)[0] != _settings(48)[0] == 36


# -- quirks ---------------------------------------------------------------------------------------------------------


def test_misread_positions_are_right_in_square_windows():
    chosen = torch.rand(3, 25, generator=torch.Generator().manual_seed(0)) < 0.2
    assert torch.equal(misread_positions(chosen, (5, 5)), chosen)


@pytest.mark.parametrize(
    ("grid", "chosen", "expected"),
    [
        ((2, 5), [0, 1], [0, 1]),
        ((2, 5), [2, 3], [5, 6]),  # the third patch is taken for the first one of the second row
        ((2, 5), [2, 4], [2, 4]),  # the fifth one would lie in a third row: the official code stops
        ((3, 2), [3, 4], [2, 3]),
        ((3, 2), [3, 5], [3, 5]),  # third column
    ],
)
def test_misread_positions_by_hand(grid, chosen, expected):
    masks = torch.zeros(1, grid[0] * grid[1], dtype=torch.bool)
    masks[0, chosen] = True
    assert misread_positions(masks, grid)[0].nonzero().flatten().tolist() == expected


def test_windows_without_quirks_are_read_right(build_method):
    tokens = reference.random_tokens(1, (2, 5))
    tokens[0, 3] *= 30
    model = build_method("SCCLIP", contamination=0.1, neighbours=3, official_quirks=False)
    assert model.anomalies(tokens[:, 1:], (2, 5))[0].nonzero().flatten().tolist() == [2]
    quirky = build_method("SCCLIP", contamination=0.1, neighbours=3)
    assert quirky.anomalies(tokens[:, 1:], (2, 5))[0].nonzero().flatten().tolist() == [5]


# -- any images -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("test_cfg", [None, WHOLE], ids=["slide", "whole"])
def test_a_batch_is_its_single_images(test_cfg, build_method):
    model = build_method("SCCLIP", test_cfg=test_cfg, contamination=0.2, neighbours=5)
    inputs = images((32, 72), (56, 40))
    metas = [{"ori_shape": image.shape[-2:]} for image in inputs]
    together = model.inference(inputs, metas)
    for index in range(2):
        [alone] = model.inference(inputs[index : index + 1], metas[index : index + 1])
        torch.testing.assert_close(model.dense_logits(together[index]), model.dense_logits(alone), atol=2e-6, rtol=0)
    samples = model.predict(inputs, [SegDataSample(metainfo=meta) for meta in metas])
    assert [tuple(sample.pred_sem_seg.data.shape) for sample in samples] == [(1, 32, 72), (1, 56, 40)]


@pytest.mark.parametrize("size", [(8, 8), (8, 40), (64, 48)])
def test_float32_is_float64(size, build_method):
    """Also where there are fewer patches than neighbours, or one alone."""
    model = build_method("SCCLIP", test_cfg=WHOLE)
    [image] = images(size)
    single = patch_logits(model, image[None])
    assert single.isfinite().all()
    double = patch_logits(model.double(), image[None].double())
    torch.testing.assert_close(single.double(), double, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("wanted", "taken"), [(10, 10), (11, 11), (12, 10), (30, 10)])
def test_a_small_window_has_all_other_patches_but_one_as_neighbours(wanted, taken, build_method, monkeypatch):
    """12 patches: 11 others. More neighbours than that are as many as can be told apart, and no fewer."""
    asked = []
    monkeypatch.setattr(
        "mmseg_tfovss.methods.sc_clip.radius_ratio", lambda _, count: asked.append(count) or torch.ones(1, 12)
    )
    model = build_method("SCCLIP", test_cfg=WHOLE, neighbours=wanted)
    model.anomalies(torch.zeros(1, 12, 4), (3, 4))
    assert asked == [taken]


def test_an_image_of_one_colour_is_labelled(build_method):
    logits = patch_logits(build_method("SCCLIP", test_cfg=WHOLE), torch.ones(1, 3, 64, 64))
    assert logits.isfinite().all()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_close(precision, build_method):
    [image] = images((64, 64))
    full, half = (
        patch_logits(build_method("SCCLIP", precision=p, test_cfg=WHOLE), image[None]) for p in ("fp32", precision)
    )
    assert 0 < (full - half).abs().max() < 0.05


# -- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pre_layer": 3}, r"model\.pre_layer must be one of \[1, 2\], but got 3"),
        ({"post_layer": 0}, r"model\.post_layer must be one of \[1, 2\], but got 0"),
        (
            {"fused_layers": (2, 1)},
            r"model\.fused_layers must be None, \(\) or \(first, last\) .* < 3, but got \(2, 1\)",
        ),
        ({"fused_layers": 2}, r"model\.fused_layers must be None"),
        ({"fused_layers": (True, 2)}, r"model\.fused_layers must be None"),
        ({"pre_layer": True}, r"model\.pre_layer must be one of \[1, 2\], but got True"),
        ({"official_quirks": 1}, r"model\.official_quirks must be one of \[True, False\], but got 1"),
        ({"fused_layers": (1, 3)}, r"model\.fused_layers must be None"),
        ({"cls_weight": -0.1}, r"model\.cls_weight must lie in \[0, inf\], but got -0.1"),
        ({"beta": 1.5}, r"model\.beta must lie in \[0, 1\], but got 1.5"),
        ({"neighbours": 0}, r"model\.neighbours must be positive and a whole number, but got 0"),
        ({"contamination": 2}, r"model\.contamination must lie in \[0, 1\], but got 2"),
        ({"official_quirks": "no"}, r"model\.official_quirks must be one of \[True, False\], but got 'no'"),
        ({"residual": True}, r"model\.residual and model\.feed_forward have no effect: SCCLIP runs its last block"),
    ],
)
def test_wrong_options_are_refused(options, message, build_method):
    with pytest.raises(ValueError, match=message):
        build_method("SCCLIP", **options)


# -- compositions ---------------------------------------------------------------------------------------------------


def test_lht_clip_replaces_tokens_before_anomalies_are_looked_for(build_method, monkeypatch):
    """What LHT-CLIP makes of X^{L-1} is what SC-CLIP repairs and attends with."""
    lht = build_method("LHTCLIP", base={"type": "SCCLIP"}, test_cfg=WHOLE, tau=0.22, alpha=0, k=0)
    seen, anomalies = [], lht.base.anomalies
    monkeypatch.setattr(lht.base, "anomalies", lambda *given: seen.append(given) or anomalies(*given))
    [image] = images((40, 48))
    changed = patch_logits(lht, image[None])
    alone = build_method("SCCLIP", test_cfg=WHOLE)
    assert (changed - patch_logits(alone, image[None])).abs().max() > 1e-3
    with torch.inference_mode():
        tokens = alone.backbone.embed(image[None])
        for block in alone.backbone.blocks[:-1]:
            tokens = block(tokens)
        plugin, patches = lht.token_plugins, tokens[:, 1:]
        abnormal = plugin.abnormal(patches)
        assert abnormal.any()
        [(found, grid)] = seen
        torch.testing.assert_close(found, plugin.replace(patches, abnormal, grid))
        assert grid == (5, 6)


def test_lht_clip_cannot_take_away_what_it_has_not(build_method):
    message = r"model\.remove_residual=True has no effect: SCCLIP runs its last block in its own way"
    with pytest.raises(ValueError, match=message):
        build_method("LHTCLIP", base={"type": "SCCLIP"}, k=0, remove_residual=True)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "name"), [("", "maximum velocity"), ("-op", "optimal path")])
def test_dslo_over_it_runs_on_pocket(mode, name, tmp_path):
    leaf = ROOT / "configs" / "dslo" / "versatility" / f"dslo_vit-pocket-scclip{mode}_pocket_all.py"
    options = {"work_dir": str(tmp_path), "test_dataloader.num_workers": 0, "test_dataloader.dataset.indices": 2}
    data = {"test_dataloader.dataset.data_root": str(ROOT / "data" / "pocket")}
    result = run_test(load_config(leaf, {**options, **data}))
    assert result["setting"].startswith(f"around SCCLIP, {name}")
    assert (result["method"], result["num_images"]) == ("DSLO", 2)
