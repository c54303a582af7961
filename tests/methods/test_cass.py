"""CASS: the official outputs, the attention against loops over heads, and what each step is for."""

import json

import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment

from mmseg_tfovss.config import load_config
from mmseg_tfovss.encoders.dino import DINO, MAE, DINOv2Registers
from mmseg_tfovss.encoders.preprocessor import CLIP_MEAN, CLIP_STD
from mmseg_tfovss.methods import cass
from mmseg_tfovss.methods.cass import grey_levels_of_code
from mmseg_tfovss.ops.spectral import graph_eigenvectors, graph_of, match_farthest
from tests.methods import reference
from tests.methods.own_config import CONFIGS, SLIDE, WHOLE
from tests.mini import PATCH
from tests.parity import cases, gen_clip
from tests.parity.cases import build_case, check_case, load_case, parity_cases, run_case

CASES = parity_cases("cass")
GRID = (3, 4)
NEITHER = {"voc20", "city_scapes"}  # names under which the official code leaves singular values as they are
IN_PAPER = {  # gamma, alpha, t
    "voc21": (0.1, 0.03, 0.1),
    "context60": (0.25, 0.04, 0.09),
    "coco_object": (0.25, 0.01, 0.1),
    "voc20": (0.4, 0.02, 0.1),
    "context59": (0.25, 0.04, 0.09),
    "coco_stuff164k": (0.2, 0.02, 0.02),
    "cityscapes": (0.1, 0.03, 0.14),
    "ade20k": (0.3, 0.05, 0.06),
}


@pytest.fixture(scope="module")
def dino_file(tmp_path_factory):
    """The DINO on which the official outputs were computed, in its authors' layout."""
    recipe = json.loads((cases.FOLDER / "weights.json").read_text())["dino_w128"]
    state = gen_clip.make(recipe["kind"], recipe["seed"])
    assert gen_clip.sha256(state) == recipe["sha256"]
    path = tmp_path_factory.mktemp("dino") / "dino.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def vfm(build_own):
    """A tiny DINO with as many heads as the mini CLIP."""
    return {"type": "DINO", "pretrained": str(build_own.tiny(DINO))}


@pytest.fixture(scope="module")
def build(build_method, vfm):
    """CASS on the mini CLIP and the tiny DINO."""

    def build(**options):
        return build_method("CASS", **{"vfm": vfm, "test_cfg": WHOLE, **options})

    return build


@pytest.fixture(scope="module")
def images():
    size = (GRID[0] * PATCH, GRID[1] * PATCH)
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def logits(model, images):
    model.prepare()
    return model.patch_logits(images)


@pytest.fixture(scope="module")
def plain(build, images):
    """Logits of a model whose steps all act."""
    return logits(build(alpha=0.3, t=0.9), images)


# -- the released code ----------------------------------------------------------------------------------------------


def build_official(settings, clip, dino, folder):
    options = settings["options"]
    return build_case(
        settings,
        clip,
        folder,
        "CASS",
        vfm={"type": "DINO", "pretrained": str(dino)},
        sigma=options["gaussian_std"],
        strategy=options["attn_strategy"],
        spectrum=options["k_eigen"],
        rank=options["low_rank"],
        eigenscaling=options["dataset"] not in NEITHER,
        svd="exact" if settings["seed"] is None else "randomised",
        seed=settings["seed"],
        gamma=options["global_semantics_weight"],
        alpha=options["mean_vector_weight"],
        t=options["h_threshold"],
    )


def test_there_are_official_outputs():
    assert len(CASES) >= 4


@pytest.mark.parametrize("name", CASES)
def test_equals_official_code(name, tiny_clip, dino_file, tmp_path, monkeypatch):
    """The outputs, and of the window at the corner, which is the last pass, DINO's keys."""
    settings, official = load_case("cass", name)
    model, keys = build_official(settings, tiny_clip, dino_file, tmp_path), []
    inner = model.vfm_keys
    monkeypatch.setattr(model, "vfm_keys", lambda *given: keys.append(inner(*given)) or keys[-1])
    if settings["seed"] is None:
        check_case(model, settings, official)
    else:  # its window at the corner is the first one, and the others have directions of their own
        ours = run_case(model, settings)
        for array, tolerance in (("patch_logits", cases.TOLERANCE), ("seg_logits", 1e-3)):
            assert abs(ours[array] - official[array]).max() <= tolerance
        assert (ours["pred"] == official["pred"]).mean() >= settings["min_label_agreement"]
    torch.testing.assert_close(keys[-1][0], torch.from_numpy(official["dino_key"]), atol=1e-5, rtol=0)
    ids = [model.text_clusters(), torch.from_numpy(official["text_clusters"])]
    assert torch.equal(*(one[:, None] == one for one in ids))


# -- the last block against loops -----------------------------------------------------------------------------------


def stretched(values, low, high):
    return (values - values.min()) / (values.max() - values.min()) * (high - low) + low


def attend_by_loops(weights, tokens, seen, *, quirks, eigenscaling=True):
    """Patches (1, N, C) behind the last block, of its input (1, 1 + N, C) and DINO's keys (heads, N, d), head by head.

    N x N graphs are decomposed as they are.
    """
    _, key, value = reference.qkv(weights, tokens)
    key, value = (torch.stack(part)[:, 0, 1:] for part in (key, value))
    seen = stretched(seen, key.min(), key.max())
    clip, dino = key @ key.mT / 8, seen @ seen.mT / seen.shape[2] ** 0.5
    spectra = [[torch.linalg.eigvalsh(graph).flip(0)[:20] for graph in graphs] for graphs in (dino, clip)]
    pairs = [[(a / a.abs().sum() - b / b.abs().sum()).abs().sum() for b in spectra[1]] for a in spectra[0]]
    distances = torch.tensor(pairs, dtype=torch.float64)
    columns = match_farthest(distances[None], 1e-3)[0].tolist()
    heads = []
    for head in range(len(key)):
        matched = columns.index(head)
        source, weight = (
            (columns[head], distances[head, columns[head]]) if quirks else (matched, distances[matched, head])
        )
        left, values, right = torch.linalg.svd(dino[source])
        kept = 10 if quirks else 1 + int((values.cumsum(0) / values.sum() < 0.95 - 1e-12).sum())
        left, values, right = left[:, :kept], values[:kept], right[:kept]
        if eigenscaling:
            values = stretched(values, 0.5 * values.min(), 1.5 * values.max())
        graph = left @ values.diag() @ right
        graph = stretched(graph - graph.diag().diag(), clip[head].min(), clip[head].max())
        places = torch.cartesian_prod(*(torch.arange(size) for size in GRID)).double()
        scores = (10 * weight * graph + clip[head]) / (10 * weight + 1) + (
            -(torch.cdist(places, places) ** 2) / 50
        ).exp()
        heads.append((scores.softmax(dim=-1) @ value[head])[None])
    return reference.merge(weights, heads)


@pytest.mark.parametrize("options", [{}, {"eigenscaling": False}, {"official_quirks": False}], ids=str)
def test_the_last_block_equals_loops_over_heads(options, build, mini_state, images):
    """And the class token is that of the block as it was trained."""
    model = build(**options, match_margin=1e-3).double()
    tokens, weights = reference.random_tokens(2, GRID), reference.last_block_weights(mini_state)
    quirks = options.get("official_quirks", True)
    with torch.inference_mode():
        seen = model.vfm_keys(images.double(), GRID).double()
        model.vfm_keys = lambda given, grid: seen
        found = reference.run_last_block(model, tokens, GRID)
        trained = model.backbone.blocks[-1](tokens)
    torch.testing.assert_close(found[:, 0], trained[:, 0])
    for index in range(2):
        scaled = options.get("eigenscaling", True)
        expected = attend_by_loops(weights, tokens[index : index + 1], seen[index], quirks=quirks, eigenscaling=scaled)
        torch.testing.assert_close(found[index, 1:], expected[0], atol=1e-6, rtol=0)


def test_rounding_decides_no_tie_with_a_margin(build):
    """DINO's heads are both steeper than CLIP's: both ways of matching them have the same sum."""
    vfm, clip = torch.tensor([[[0.9, 0.1], [0.8, 0.2]]]).double(), torch.tensor([[[0.6, 0.4], [0.53, 0.47]]]).double()
    plain, steady = build(), build(match_margin=1e-3)
    draw, found = torch.Generator().manual_seed(0), {plain: set(), steady: set()}
    for _ in range(20):
        noise = 1e-7 * torch.randn(2, 1, 2, 2, dtype=torch.float64, generator=draw)
        for model, matches in found.items():
            matches.add(tuple(model.match(vfm + noise[0], clip + noise[1])[0][0].tolist()))
    assert (len(found[plain]), len(found[steady])) == (2, 1)


def test_matched_heads_meet_only_without_the_codes_quirk(build):
    """Three heads in a circle: DINO's 0 is matched to CLIP's 1, 1 to 2 and 2 to 0."""
    shares = torch.tensor([[0.9, 0.1, 0.0], [0.1, 0.0, 0.9], [0.0, 0.9, 0.1]])
    vfm, clip = shares[None], shares[[1, 2, 0]][None]
    clip = clip + 0.01 * torch.tensor([[[1.0], [2.0], [3.0]]])
    model = build()
    distances = (vfm[:, :, None] / vfm.sum(-1)[..., None, None] - clip[:, None] / clip.sum(-1)[:, None, :, None]).abs()
    distances = distances.sum(dim=-1)[0]
    columns = linear_sum_assignment(-distances.numpy())[1]
    assert sorted(columns) == [0, 1, 2]
    assert any(columns[columns[head]] != head for head in range(3))
    source, weights = model.match(vfm, clip)
    assert source[0].tolist() == columns.tolist()
    torch.testing.assert_close(weights[0], torch.stack([distances[head, columns[head]] for head in range(3)]))
    model.official_quirks = False
    source, weights = model.match(vfm, clip)
    assert [columns[head] for head in source[0].tolist()] == [0, 1, 2]
    torch.testing.assert_close(weights[0], torch.stack([distances[source[0, head], head] for head in range(3)]))


# -- what DINO sees -------------------------------------------------------------------------------------------------


def test_dino_sees_less_contrast_in_whole_grey_levels():
    """Black, white and a grey in between, through ImageNet's statistics in place of CLIP's, blue's mistyped."""
    colours = torch.tensor([0.0, 255.0, 100.0]).expand(3, 1, 3)
    mean, std = (torch.tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    found = grey_levels_of_code(((colours - mean) / std)[None])[0]
    shown = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.255)]
    for channel, (middle, spread) in enumerate(shown):
        expected = 255 * ((colours[channel] - mean[channel]) / std[channel] * spread + middle)
        assert torch.equal(found[channel], expected.floor())
    assert found.min() >= 7
    assert found.max() <= 247


def test_dino_sees_squares_or_windows_as_they_are(build, images):
    seen, grid = build().vfm_input(images)
    assert (seen.shape[-2:], grid) == ((24, 24), (3, 3))
    seen, grid = build().vfm_input(images[..., :21, :])  # pixels beyond the last whole patch are dropped
    assert (seen.shape[-2:], grid) == ((16, 16), (2, 2))
    seen, grid = build(vfm_side=42).vfm_input(images)
    assert (seen.shape[-2:], grid) == ((40, 40), (5, 5))
    model = build(official_quirks=False)
    seen, grid = model.vfm_input(images)
    assert grid == (3, 4)
    assert torch.equal(seen, model.grey_levels(images))
    assert build(official_quirks=False, vfm_side=42).vfm_input(images)[1] == (5, 5)


@pytest.mark.parametrize("kind", [DINOv2Registers, MAE])
@pytest.mark.parametrize("official_quirks", [True, False])
def test_other_networks_give_keys_too(kind, official_quirks, build, build_own, images, plain):
    """Registers are no patches, and MAE hides none."""
    network = {"type": kind.__name__, "pretrained": str(build_own.tiny(kind))}
    model = build(vfm=network, official_quirks=official_quirks, alpha=0.3, t=0.9)
    assert model.vfm_keys(images, GRID).shape == (2, 2, 12, 16)
    assert (logits(model, images) - plain).abs().max() > 1e-4


def test_a_window_smaller_than_a_patch_of_dinos_is_one_patch(build, images):
    model = build()
    model.vfm.patch_size = 64
    assert model.vfm_input(images)[1] == (1, 1)


# -- what each step is for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "off",
    [
        {"strength": 0.0},
        {"strategy": "sequential"},
        {"rank": 1},
        {"spectrum": 1},
        {"sigma": None},
        {"gamma": 0.0},
        {"alpha": 0.0},
        {"t": 0.0},
        {"official_quirks": False},
        {"vfm_side": 64},
        {"svd": "randomised", "rank": 2},
    ],
    ids=str,
)
def test_every_step_changes_the_logits(off, build, images, plain):
    assert (plain - logits(build(**{"alpha": 0.3, "t": 0.9, **off}), images)).abs().max() > 1e-4


@pytest.mark.parametrize("eigenscaling", [True, False])
def test_the_graph_is_the_whole_ones_of_low_rank(eigenscaling, build):
    keys = torch.randn(1, 1, 20, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(graph_of(keys)[0, 0])
    values = values[:10]
    if eigenscaling:
        low, high = values[-1], values[0]
        values = (values - low) / (high - low) * (1.5 * high - 0.5 * low) + 0.5 * low
    found = build(eigenscaling=eigenscaling).low_rank_graph(*graph_eigenvectors(keys), keys)
    torch.testing.assert_close(found[0, 0], left[:, :10] @ values.diag() @ right[:10])


def test_texts_are_clustered_by_the_linkage(build):
    """Two pairs of texts at 0 and 30 degrees, which Ward's method joins higher up."""
    for linkage, count in (("ward", 2), ("complete", 1)):
        model, angles = build(linkage=linkage, t=0.175), torch.tensor([0.0, 4.0, 30.0, 34.0]).deg2rad()
        model.decode_head.text_features = torch.stack([angles.cos(), angles.sin()], dim=1)
        assert len(model.text_clusters().unique()) == count


def test_another_image_for_dino_changes_the_attention(build, images, monkeypatch):
    """The graph of the second network is the idea."""
    model = build()
    found = logits(model, images)
    inner = model.vfm_keys
    monkeypatch.setattr(model, "vfm_keys", lambda given, grid: inner(given.flip(3), grid))
    assert (logits(model, images) - found).abs().max() > 1e-3


def test_one_window_at_a_time_is_all_of_them(build, images, monkeypatch):
    """Graphs are made for a part of the windows where they need too much memory."""
    found = logits(build(), images)
    monkeypatch.setattr(cass, "_ENTRIES", 1)
    torch.testing.assert_close(logits(build(), images), found, atol=1e-6, rtol=0)


def test_half_of_the_digits_are_enough(build, images):
    for options in ({"official_quirks": False}, {"svd": "randomised"}):
        single, double = (build(**options, match_margin=1e-3) for _ in range(2))
        single, double = logits(single, images), logits(double.double(), images.double())
        torch.testing.assert_close(single.double(), double, atol=1e-5, rtol=0)


def test_a_seed_gives_the_same_again(build, images):
    options = {"svd": "randomised", "rank": 2}
    torch.manual_seed(3)
    first = logits(build(**options, seed=1), images)
    assert torch.equal(logits(build(**options, seed=1), images), first)
    assert not torch.equal(logits(build(**options, seed=2), images), first)


def test_images_of_one_colour_have_labels(build):
    assert logits(build(), torch.zeros(1, 3, 24, 32)).isfinite().all()


# -- the classes present --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("test_cfg", [WHOLE, SLIDE], ids=["whole", "slide"])
def test_a_second_clip_says_which_classes_are_present(test_cfg, build, images, mini_clip):
    """The same CLIP again changes nothing; its vectors are of whole images or of windows, as CLIP's own."""
    second = {"type": "CLIPImageEncoder", "arch": "auto", "pretrained": str(mini_clip)}
    plain, model = build(test_cfg=test_cfg), build(test_cfg=test_cfg, presence=second)
    whole = torch.cat([images, images.flip(3)], dim=3)
    for mode in (plain, model):
        mode.prepare()
    found, expected = (
        [one.canvases["logits"].dense() for one in mode.inference(whole, [{"ori_shape": (24, 64)}] * 2)]
        for mode in (model, plain)
    )
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    vector = F.normalize(torch.randn(1, 32), dim=1)
    model._presence_texts = vector.expand(7, -1)
    again = model.inference(whole, [{"ori_shape": (24, 64)}] * 2)[0].canvases["logits"].dense()
    assert (again - found[0]).abs().max() > 1e-3
    assert set(model.networks()) == {"backbone", "vfm", "presence"}


# -- options --------------------------------------------------------------------------------------------------------


def test_defaults_are_those_of_the_code(build):
    model = build()
    assert (model.spectrum, model.strength, model.eigenscaling, model.rank, model.energy) == (20, 10, True, 10, None)
    assert (model.sigma, model.linkage, model.prior_from, model.svd, model.seed) == (5, "ward", "image", "exact", None)
    assert (model.pamr_steps, model.whole_upsampling, model.official_quirks) == (0, "two_step", True)
    other = build(official_quirks=False)
    assert (model.match_margin, other.match_margin) == (0, 1e-3)
    assert (other.rank, other.energy) == (None, 0.95)


@pytest.mark.parametrize("key", IN_PAPER)
def test_configs_have_the_authors_settings(key):
    config = load_config(CONFIGS / "cass" / f"cass_vit-b16_{key}.py")
    model = config.model
    assert (model.gamma, model.alpha, model.t) == IN_PAPER[key]
    assert model.get("prior_from", "image") == ("window" if key == "cityscapes" else "image")
    assert model.get("eigenscaling", True) == (key not in {"voc20", "cityscapes"})
    assert model.vfm == {"type": "DINO", "pretrained": "facebook/dino-vitb8"}
    assert model.short_side == (560 if key == "cityscapes" else 336)
    assert model.test_cfg.mode == ("whole" if key == "voc21" else "slide")
    head = model.decode_head
    thresholds = {"voc21", "context60", "coco_object"}
    assert (head.logit_scale, head.get("prob_threshold", 0)) == (40, 0.1 if key in thresholds else 0)
    unified = load_config(config.filename, {"protocol": "unified"}).model
    assert (unified.gamma, unified.alpha, unified.t, unified.prior_from) == (0.25, 0.03, 0.1, "image")
    assert unified.eigenscaling


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vfm": None}, r"CASS needs a network: set model\.vfm=dict"),
        ({"vfm": {"type": "SAM"}}, r"model\.vfm: SAM gives no projections: take one of DINO"),
        ({"presence": {"type": "DINO"}}, r"model\.presence must be a CLIPImageEncoder"),
        ({"strategy": "vanilla"}, r"model\.strategy must be one of \['spectral', 'sequential'\], but got 'vanilla'"),
        ({"strategy": "sequential", "strength": 5}, r"model\.strength has no effect with model\.strategy='sequential'"),
        ({"energy": 0.9}, r"model\.energy has no effect with model\.official_quirks=True: set model\.energy=None"),
        ({"official_quirks": False, "rank": 5}, r"model\.rank has no effect with model\.official_quirks=False"),
        ({"official_quirks": False, "svd": "randomised"}, r"model\.svd='randomised' needs a rank"),
        ({"seed": 1}, r"model\.seed has no effect with model\.svd='exact'"),
        ({"svd": "lowrank"}, r"model\.svd must be one of \['exact', 'randomised'\]"),
        ({"official_quirks": False, "energy": 1.5}, r"model\.energy must be at most 1, but got 1\.5"),
        ({"rank": 0}, r"model\.rank must be a whole number, at least 1, but got 0"),
        ({"spectrum": 2.5}, r"model\.spectrum must be a whole number"),
        ({"match_margin": -1}, r"model\.match_margin must be a number of at least 0"),
        ({"strategy": "sequential", "match_margin": 0}, r"model\.match_margin has no effect with model\.strategy"),
        ({"vfm_side": 0}, r"model\.vfm_side must be a whole number"),
        ({"sigma": 0}, r"model\.sigma must be positive, but got 0"),
        ({"strength": -1}, r"model\.strength must be a number of at least 0"),
        ({"eigenscaling": "yes"}, r"model\.eigenscaling must be one of \[True, False\]"),
        ({"gamma": 2}, r"model\.gamma must lie in \[0, 1\], but got 2"),
        ({"t": -1}, r"model\.t must lie in \[0, inf\], but got -1"),
        ({"linkage": "single"}, r"model\.linkage must be one of \['complete', 'ward'\]"),
        ({"residual": True}, r"model\.residual and model\.feed_forward have no effect: CASS runs its last block"),
    ],
)
def test_wrong_options_are_refused(options, message, build, vfm):
    if "presence" in options:
        options = {**options, "presence": vfm}
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_a_second_clip_without_a_prior_is_refused(build, mini_clip):
    second = {"type": "CLIPImageEncoder", "arch": "auto", "pretrained": str(mini_clip)}
    with pytest.raises(ValueError, match=r"model\.presence has no effect with model\.gamma=0 and model\.alpha=0"):
        build(presence=second, gamma=0, alpha=0)


def test_missing_weights_are_named(build):
    with pytest.raises(FileNotFoundError, match=r"model\.vfm\.pretrained"):
        build(vfm={"type": "DINO", "pretrained": "/nowhere/dino"})


def test_another_number_of_heads_is_refused(build, dino_file, images):
    model = build(vfm={"type": "DINO", "pretrained": str(dino_file), "heads": 4})
    with pytest.raises(
        ValueError, match=r"model\.vfm has 4 heads, but CLIP's image tower 2: .* take a network with as"
    ):
        logits(model, images)


@pytest.mark.parametrize(("patches", "fused"), [(1 << 20, False), (0, True)])
def test_attention_is_step_by_step_for_few_patches_and_fused_for_many(
    patches, fused, build, images, plain, monkeypatch
):
    """It changes the last digits alone."""
    seen = []
    own = DINO.projections

    def noted(self, one, grid, *, fused=True):
        seen.append(fused)
        return own(self, one, grid, fused=fused)

    monkeypatch.setattr(cass, "_EXACT_PATCHES", patches)
    monkeypatch.setattr(DINO, "projections", noted)
    found = logits(build(alpha=0.3, t=0.9), images)
    assert set(seen) == {fused}
    torch.testing.assert_close(found, plain, atol=1e-4, rtol=0)
