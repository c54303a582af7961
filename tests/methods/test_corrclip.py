"""CorrCLIP: the official outputs and what leads to them, copies of the class token, and what each step is for."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmseg.structures import SegDataSample

from mmseg_tfovss.config import load_config
from mmseg_tfovss.datasets.facts import BENCHMARKS
from mmseg_tfovss.methods import corrclip
from mmseg_tfovss.methods.corrclip import COPIES, INSTANCES, SIGHT, SPATIAL
from mmseg_tfovss.methods.stages import Scene
from mmseg_tfovss.ops.labels import majority
from tests.methods.own_config import CONFIGS, SLIDE, WHOLE
from tests.mini import PATCH
from tests.parity.cases import TOLERANCE, build_case, check_case, load_case, parity_cases

CASES = parity_cases("corrclip")
SIZE = (4 * PATCH, 6 * PATCH)


def new_map(size=SIZE, seed=0, uncovered=True):
    """A map of instances of four blocks, and a strip that none covers."""
    ids = np.kron(np.array([[3, 8], [9, 4]]), np.ones((size[0] // 2, size[1] // 2), int))
    ids = np.roll(ids, seed * PATCH, axis=1)
    if uncovered:
        ids[:PATCH, : 3 * PATCH] = 0
    return ids


@pytest.fixture
def masks(tmp_path):
    """A folder with the maps of ``a.jpg`` and ``b.jpg``."""
    folder = tmp_path / "maps"
    folder.mkdir()
    for seed, stem in enumerate("ab"):
        np.savez(folder / f"{stem}.npz", instance_mask=new_map(seed=seed))
    return folder


@pytest.fixture
def build(build_own, tiny_weights, masks):
    """CorrCLIP on the mini CLIP and a tiny DINO of patch 8."""
    vfm = {"type": "DINO", "pretrained": tiny_weights("dino_w32")}

    def build(**options):
        own = {"test_cfg": WHOLE, "vfm": vfm, "masks": str(masks), "pad_to": None, "eps": 0.05}
        return build_own("CorrCLIP", **{**own, **options})

    return build


@pytest.fixture
def images():
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def metas(stems="ab"):
    return [{"ori_shape": SIZE, "img_path": f"elsewhere/{stem}.jpg"} for stem in stems]


def dense(model, images, stems="ab"):
    """Logits (B, Q, H, W) of images."""
    found = model.inference(images, metas(stems))
    return torch.stack([one.canvases["logits"].dense() for one in found])


def labels(model, images):
    samples = model.predict(images, [SegDataSample(metainfo=meta) for meta in metas()])
    return torch.stack([sample.pred_sem_seg.data[0] for sample in samples])


# -- the official code ----------------------------------------------------------------------------------------------


def test_there_are_official_outputs():
    assert len(CASES) >= 4


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if "astronaut" in name else ()) for name in CASES]
)
def test_equals_official_code(name, tiny_clip, tiny_weights, tmp_path, monkeypatch):
    """The outputs, and of the window at the corner, which is the last pass, what they are made of."""
    settings, official = load_case("corrclip", name)
    options, path = settings["options"], tmp_path / "map.npz"
    np.savez(path, instance_mask=official["masks"])
    model = build_case(
        settings,
        tiny_clip,
        tmp_path,
        "CorrCLIP",
        masks=str(path),
        vfm={"type": "DINO", "pretrained": tiny_weights(options["vfm"])},
        eps=options["dbscan"]["eps"],
        min_samples=options["dbscan"]["min_samples"],
        tau=options["tau"],
        alpha=options["alpha"],
        beta=options["beta"],
        spatial_layers=(options["spatial_blocks"][0] + 1, options["spatial_blocks"][-1] + 1),
    )
    streams, run = [], model.run_blocks
    monkeypatch.setattr(model, "run_blocks", lambda *args: streams.append(run(*args)) or streams[-1])
    attention, attend = [], corrclip.attend_in_scope
    monkeypatch.setattr(corrclip, "attend_in_scope", lambda *args: attention.append(attend(*args)) or attention[-1])
    voted = []
    monkeypatch.setattr("mmseg_tfovss.methods.base.majority", lambda *args: voted.append(args[0]) or majority(*args))
    # One pair of patches at a threshold may change sides by rounding; so it does between threads of the official code.
    check_case(model, settings, official, tolerance=5e-5)

    stream = streams[-1]
    regions = stream.given["regions"]
    grid = tuple(regions.shape[-2:])
    check_regions(regions[0], official["merged_regions"])
    coarse = corrclip.resize_ids(regions, stream.grid)[0]
    check_regions(coarse, official["merged_regions_clip"])
    present = coarse.unique()  # a region may have vanished on CLIP's grid
    branches = [stream.tokens[0, 1:], stream.along[SPATIAL][0]]
    branches.append(stream.along[COPIES][0][corrclip.resize_ids(coarse, grid).flatten()])
    found = {
        "vfm_feats_sub": stream.given["F"].transpose(1, 2).unflatten(2, grid)[:, ::4],
        "affinity_sub": attention[-1][::97, ::13],
        "semantic_tokens": stream.along[COPIES][0, present],
        "branches_sub": torch.stack([model.backbone.ln_post(tokens)[::37, ::4] for tokens in branches]),
    }
    for key, ours in found.items():
        expected = torch.from_numpy(official[key])
        assert ours.shape == expected.shape, key
        assert (ours - expected).abs().max() <= TOLERANCE * expected.abs().max().clamp_min(1), key
    before = torch.from_numpy(official["pred_before_vote"])
    assert (voted[0] == before).float().mean() >= settings["min_label_agreement"]
    assert (before != torch.from_numpy(official["pred"])).float().mean() > 0.02


def check_regions(ours, official):
    """The same ids, but for their names, which are in the same order."""
    ranks = np.unique(official, return_inverse=True)[1].reshape(official.shape)
    assert torch.equal(torch.unique(ours, return_inverse=True)[1], torch.from_numpy(ranks))


# -- copies of the class token --------------------------------------------------------------------------------------


@torch.inference_mode()
def test_copies_see_the_class_token_and_their_region(build, images):
    """As if in every block all other patches were cut out of what the class token attends to."""
    model = build()
    sight = torch.zeros(2, 3, 25, dtype=torch.bool)
    sight[..., 0] = True
    sight[0, 0, 1:9] = sight[0, 1, 9:25] = sight[1, 0, 2:25:2] = sight[1, 1, 1:25:2] = True  # the third sees nothing
    given = {SIGHT: sight, "regions": torch.ones(2, 4, 6, dtype=torch.int64), "F": torch.ones(2, 24, 4) / 2}
    stream = model.run_blocks(images, given)
    for index, image in enumerate(images):
        tokens = model.backbone.embed(image[None])
        copies = [tokens[:, :1]] * 3
        for block in model.backbone.blocks:
            for number, seen in enumerate(sight[index]):
                stacked = torch.cat([copies[number], tokens[:, seen]], dim=1)
                query, key, value = block.qkv(stacked)
                attended = block.attend(query[:, :, :1], key[:, :, 1:], value[:, :, 1:])
                copy = copies[number] + attended
                copies[number] = copy + block.feed_forward(copy)
            tokens = block(tokens)
        torch.testing.assert_close(stream.along[COPIES][index], torch.cat(copies, dim=1)[0], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_other_tokens_see_no_copies(build, images):
    model = build(alpha=0.0)
    with_copies, without = dense(model, images), dense(build(alpha=0.0, beta=0.0), images)
    assert (with_copies - without).abs().max() > 1e-3
    model.beta = 1e-9  # copies go along and count for nothing
    torch.testing.assert_close(dense(model, images), without, atol=1e-5, rtol=0)


# -- regions --------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def test_the_regions_decide(build, images):
    """The paper's idea: with the map of another image, patches attend to others."""
    model = build()
    found, swapped = dense(model, images), dense(model, images, "ba")
    assert (found - swapped).abs().amax(dim=(1, 2, 3)).min() > 1e-2


@torch.inference_mode()
@pytest.mark.parametrize("pad_to", [None, 40])
def test_windows_see_their_own_part_of_the_map(pad_to, build, images, monkeypatch):
    """Of windows side by side, each has the ids that lie under it, and padding is a region of its own."""
    model = build(test_cfg={"mode": "slide", "crop_size": (32, 16), "stride": 16}, pad_to=pad_to, eps=1e-6)
    seen = []
    monkeypatch.setattr(
        corrclip, "merge_regions", lambda features, ids, *rest: seen.append(ids) or torch.zeros_like(ids)
    )
    model.inference(images, metas())
    assert len(seen) == 6
    side = 32 if pad_to is None else 40
    for number, ids in enumerate(seen):
        image, column = divmod(number, 3)
        part = torch.from_numpy(new_map(seed=image)[:, 16 * column : 16 * column + 16].copy())
        if pad_to:
            part = F.pad(part, (12, 12, 4, 4), value=1 << 40)
        grid = corrclip.resize_ids(part, (side // PATCH, part.shape[1] // PATCH))
        assert torch.equal(ids.view_as(grid), grid)


@torch.inference_mode()
def test_the_smallest_id_is_taken_for_what_is_not_covered(build, images, masks):
    """A quirk, which acts where all is covered: without it every region is one."""
    np.savez(masks / "a.npz", instance_mask=new_map(uncovered=False))
    quirky, right = (build(official_quirks=value, eps=1e-6) for value in (True, False))
    for model, expected, voting in ((quirky, {0, 1, 2, 3}, {-1, 0, 1, 2}), (right, {1, 2, 3, 4}, {0, 1, 2, 3})):
        streams, run = [], model.run_blocks
        model.run_blocks = lambda *args, run=run, kept=streams: kept.append(run(*args)) or kept[-1]
        [assembly] = model.inference(images[:1], metas("a"))
        assert set(streams[0].given["regions"].unique().tolist()) == expected
        assert set(model.refined(assembly).regions.unique().tolist()) == voting
    assert (dense(quirky, images[:1], "a") - dense(right, images[:1], "a")).abs().max() > 1e-3
    difference = dense(quirky, images[1:], "b") - dense(right, images[1:], "b")
    assert not difference.any()


@torch.inference_mode()
def test_padding_is_not_covered_without_quirks(build, images):
    options = {"test_cfg": {"mode": "slide", "crop_size": (32, 48), "stride": 16}, "pad_to": 56}
    quirky, right = (build(official_quirks=value, **options) for value in (True, False))
    assert (dense(quirky, images) - dense(right, images)).abs().max() > 1e-3


@torch.inference_mode()
def test_regions_vote_and_what_is_not_covered_does_not(build, images):
    model, plain = build(), build(map_correction=False)
    before, after = labels(plain, images), labels(model, images)
    assert model.votes
    assert not plain.votes
    for index, (one, other) in enumerate(zip(before, after, strict=True)):
        ids = torch.from_numpy(new_map(seed=index))
        assert torch.equal(one[ids == 0], other[ids == 0])
        for number in (3, 4, 8, 9):
            assert other[ids == number].unique().tolist() == [int(one[ids == number].mode().values)]
    assert bool((before != after).any())


@torch.inference_mode()
@pytest.mark.parametrize("ids", [0, 7])
def test_a_map_of_one_id_gives_labels(ids, build, images, masks):
    """No region was found, or a single one: with the quirk, either is taken for what is not covered."""
    np.savez(masks / "a.npz", instance_mask=np.full(SIZE, ids))
    model = build()
    [assembly] = model.inference(images[:1], metas("a"))
    assert bool(assembly.canvases["logits"].dense().isfinite().all())
    assert (model.refined(assembly).regions == -1).all()
    without = build(masks=None)
    assert torch.equal(dense(model, images[:1], "a"), dense(without, images[:1], "a"))


# -- as a segmentor -------------------------------------------------------------------------------------------------


@torch.inference_mode()
@pytest.mark.parametrize("test_cfg", [WHOLE, SLIDE], ids=["whole", "slide"])
def test_a_batch_is_two_single_images(test_cfg, build, images):
    model = build(test_cfg=test_cfg)
    together = dense(model, images)
    apart = torch.cat([dense(model, image[None], stem) for image, stem in zip(images, "ab", strict=True)])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)
    few = build(test_cfg=test_cfg, window_batch=1)
    torch.testing.assert_close(dense(few, images), apart, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_float32_equals_float64(build, images):
    model = build()
    single = dense(model, images)
    torch.testing.assert_close(dense(model.double(), images.double()), single, atol=1e-4, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize(
    "change",
    [{"eps": 2.0}, {"tau": 1.0}, {"alpha": 0.0}, {"alpha": 2.0}, {"beta": 0.0}, {"spatial_layers": (2, 2)}],
    ids=str,
)
def test_every_option_changes_the_logits(change, build, images):
    assert (dense(build(**change), images) - dense(build(), images)).abs().max() > 1e-3


def test_samples_without_a_path_need_a_file(build, images, masks):
    with pytest.raises(ValueError, match=r"model\.masks=.* this image has no path: name one file"):
        build().predict(images)
    found = build(masks=str(masks / "a.npz")).predict(images[:1])
    assert found[0].pred_sem_seg.shape == SIZE


def test_a_map_of_another_size_is_refused(build, images):
    with pytest.raises(ValueError, match=r"The instance map .*a\.npz is 32x48 pixels, but its image .*a\.jpg is 40x48"):
        build().inference(images, [{**meta, "ori_shape": (40, 48)} for meta in metas()])


def test_a_map_is_on_the_pixels_of_the_original(build, images, masks):
    big = np.kron(new_map(), np.ones((2, 2), int))
    np.savez(masks / "a.npz", instance_mask=big)
    size = tuple(2 * side for side in SIZE)
    [assembly] = build().inference(images[:1], [{"ori_shape": size, "img_path": "a.jpg"}])
    assert torch.equal(assembly.scene.seen[INSTANCES], torch.from_numpy(big))
    assert assembly.canvases["logits"].size == size


def test_an_image_smaller_than_the_other_networks_patch_is_refused(build):
    model = build(masks=None)
    model.vfm.patch_size = 64
    model.prepare()
    with pytest.raises(ValueError, match=r"An image of 32x48 pixels .* smaller than one 64x64 patch"):
        model.patch_logits(torch.zeros(1, 3, *SIZE), [Scene(torch.zeros(3, *SIZE), SIZE, seen={})])


# -- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", BENCHMARKS)
def test_configs_have_the_authors_settings(key):
    thresholds = {"voc21": 0.2, "context60": 0.15, "coco_object": 0.25}
    for network, arch in (("vit-b16", "ViT-B-16"), ("vit-l14", "ViT-L-14")):
        path = CONFIGS / "corrclip" / f"corrclip_{network}_{key}.py"
        config, unified = load_config(path), load_config(path, {"protocol": "unified"})
        model = config.model
        assert (unified.model.backbone.arch, unified.model.backbone.pretrained) == (arch, "openai")
        assert unified.model.masks == model.masks
        assert unified.overrides == config.overrides == {}
        if key in ("pc459", "ade847"):
            assert config.protocol == "unified"
            continue
        assert (model.backbone.arch, model.backbone.pretrained) == (f"{arch}-quickgelu", "metaclip_fullcc")
        head = model.decode_head
        assert (head.logit_scale, head.get("prob_threshold", 0)) == (40, thresholds.get(key, 0))
        assert head.vocabulary == f"{key}_corrclip"
        assert model.short_side == (448 if key in ("cityscapes", "ade20k") else 336)
        assert (model.test_cfg.crop_size, model.test_cfg.stride) == (224 if key == "cityscapes" else 336, 112)


LAYERS = {12: (6, 10), 24: (11, 22), 32: (3, 30), 6: (3, 4), 3: (1, 1), 2: (1, 1)}


@pytest.mark.parametrize(("depth", "layers"), LAYERS.items())
def test_the_layers_of_the_spatial_branch_follow_the_depth(depth, layers):
    found = corrclip.spatial_range(None, depth)
    assert (found[0], found[-1]) == layers


def test_defaults_are_those_of_the_code(build_own):
    model = build_own("CorrCLIP")
    assert (model.tau, model.alpha, model.beta, model.eps, model.min_samples) == (4.0, 1.0, 0.5, 0.2, 1)
    assert (model.pad_to, model.whole_upsampling, model.official_quirks) == (56, "direct", True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": 0}, r"model\.eps must be a positive number"),
        ({"min_samples": 0}, r"model\.min_samples an integer, at least 1"),
        ({"tau": 0}, r"model\.tau must be positive"),
        ({"alpha": -1}, r"model\.alpha must lie in \[0, inf\]"),
        ({"beta": "x"}, r"model\.beta must lie in \[0, inf\], but got 'x'"),
        ({"map_correction": 1.5}, r"model\.map_correction must be one of"),
        ({"official_quirks": None}, r"model\.official_quirks must be one of"),
        (
            {"spatial_layers": (0, 1)},
            r"spatial_layers must be None or \(first, last\) with 1 <= .* < 3, but got",
        ),
        ({"spatial_layers": (1, 3)}, r"model\.spatial_layers must be"),
        ({"spatial_layers": 1}, r"model\.spatial_layers must be"),
        ({"spatial_layers": (1, 2), "alpha": 0}, r"model\.spatial_layers has no effect with model\.alpha=0"),
        ({"vfm": {"type": "SAM"}}, r"model\.vfm: SAM gives no projections: take one of DINO"),
        ({"residual": True}, r"have no effect: CorrCLIP runs its last block"),
    ],
)
def test_wrong_options_are_refused(options, message, build):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_dslo_takes_it_without_votes(build_method, build, images):
    options = {"type": "CorrCLIP", "vfm": {"type": "DINO", "pretrained": "pocket"}, "masks": None}
    with pytest.raises(ValueError, match=r"its base CorrCLIP lets .* set model\.base\.map_correction=False, or"):
        build_method("DSLO", base=options, mode="kl", test_cfg=WHOLE)
    model = build_method("DSLO", base={**options, "map_correction": False}, mode="kl", test_cfg=WHOLE)
    assert model.predict(images)[0].pred_sem_seg.shape == SIZE


def test_maps_that_are_not_there_are_named(build, tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"model\.masks: there is no file or folder {tmp_path}/none"):
        build(masks=str(tmp_path / "none"))


def test_masks_must_be_named(build_method):
    with pytest.raises(ValueError, match=r"CorrCLIP needs the option model\.masks, which has no default"):
        build_method("CorrCLIP", vfm={"type": "DINO"})
