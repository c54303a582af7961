"""LPOSS and LPOSS+: the official outputs and what leads to them, windows that are solved together, and classes."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmseg.structures import SegDataSample

from mmseg_tfovss.config import load_config
from mmseg_tfovss.methods import lposs
from mmseg_tfovss.methods.stages import Scene
from tests.methods.own_config import CONFIGS, SLIDE, WHOLE
from tests.mini import PATCH
from tests.parity import gen_clip
from tests.parity.cases import FOLDER, build_case, load_case, measure_case, parity_cases, run_case

CASES = parity_cases("lposs")
QUICK = {"lposs-whole_nobg-china", "lpossplus-hyper_nobg-coffee"}
BENCHMARKS = ("voc21", "voc20", "context60", "context59", "coco_object", "coco_stuff164k", "cityscapes", "ade20k")


@pytest.fixture(scope="session")
def tiny_dino(tmp_path_factory):
    """The DINO on which the official outputs were computed."""
    recipe = json.loads((FOLDER / "weights.json").read_text())["dino_w128_p16"]
    state = gen_clip.make(recipe["kind"], recipe["seed"])
    assert gen_clip.sha256(state) == recipe["sha256"]
    path = tmp_path_factory.mktemp("dino") / "dino.pt"
    torch.save(state, path)
    return path


@pytest.fixture
def build(build_own):
    """LPOSS, or LPOSS+, on the mini CLIP and a mini DINO; few neighbours, so that they are chosen."""

    def build(kind="LPOSS", **options):
        return build_own(kind, **{"k": 6, "test_cfg": SLIDE, **options})

    return build


@pytest.fixture
def image():
    """Of 2 x 3 windows."""
    return torch.randn(3, 48, 61, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def scores_of(model, *images, size=(50, 70)):
    """What leaves refine, for each image."""
    assemblies = model.inference(list(images), [{"ori_shape": size}] * len(images))
    return [model.dense_logits(assembly) for assembly in assemblies]


# -- the official code ----------------------------------------------------------------------------------------------


def build_official(settings, clip, dino, folder):
    options = settings["options"]
    own = {name: options[name] for name in ("k", "gamma", "alpha", "sigma", "pix_dist_pow")}
    pixels = {"r": options["r"], "tau": options["tau"]} if options["r"] else {}
    return build_case(
        settings,
        clip,
        folder,
        "LPOSSPlus" if pixels else "LPOSS",
        backbone={"quick_gelu": options["activation"] == "QuickGELU", "position_mode": "exact"},
        data_preprocessor={"type": "CLIPPreprocessor", "exact": True},
        vfm={"type": "DINO", "pretrained": str(dino)},
        maxiter=options["cg"]["maxiter"],
        tol=options["cg"]["tol"],
        **own,
        **pixels,
    )


def record(monkeypatch, name):
    """What a function of the method's file was given and gave back, each time."""
    inner, calls = getattr(lposs, name), []

    def recorded(*args, **kwargs):
        found = inner(*args, **kwargs)
        calls.append((args, found))
        return found

    monkeypatch.setattr(lposs, name, recorded)
    return calls


def test_there_are_official_outputs_of_both():
    assert len(CASES) >= 9
    assert set(CASES) > QUICK


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in CASES]
)
@torch.inference_mode()
def test_equals_official_code(name, tiny_clip, tiny_dino, tmp_path, monkeypatch):
    """The outputs, the patches' graph and its solution; for LPOSS+ the pixels' graph and canvas, too.

    Which of two nearly equal neighbours counts depends on rounding, which the fixture's tolerance allows for.
    """
    settings, official = load_case("lposs", name)
    model = build_official(settings, tiny_clip, tiny_dino, tmp_path)
    graphs, solutions = record(monkeypatch, "neighbour_graph"), record(monkeypatch, "propagate")
    pixel_graphs, canvases = record(monkeypatch, "colour_graph"), record(monkeypatch, "propagate_over_pixels")
    ours = run_case(model, settings)

    graph, chosen = graphs[-1][1], official["affinity_row_idx"].astype(np.int64)
    ours["affinity_rows"] = graph.to_dense()[torch.from_numpy(chosen)].float().numpy()
    ours["solution_sub7"] = solutions[-1][1][::7].float().numpy()
    if pixel_graphs:
        (_, canvas), after = canvases[-1][0], canvases[-1][1]
        ours["canvas_before_sub21"], ours["canvas_after_sub21"] = (
            maps[:, ::21, ::21].float().numpy() for maps in (canvas, after)
        )
        points, side = official["pixel_affinity_points"].tolist(), settings["options"]["r"]
        ours["pixel_affinity_windows"] = windows_of(pixel_graphs[-1][1], points, side, settings["resized_hw"])
    assert bool(pixel_graphs) == name.startswith("lpossplus")
    for key in ("query_features", "patch_logits", "seg_logits", *(key for key in ours if key in official)):
        if key in ("pred", "query_idx", "input_sub"):
            continue
        assert ours[key].shape == official[key].shape, key
        assert np.abs(ours[key] - official[key]).max() <= settings["tol_logits"], key
    assert np.abs(255 * official["input_sub"] - grey_of(model, ours["input_sub"])).max() < 1e-3
    assert (ours["pred"] == official["pred"]).mean() >= settings["min_label_agreement"]
    measure_case(model, ours, official)


def grey_of(model, pixels):
    return model.grey_levels(torch.from_numpy(pixels)).numpy()


def windows_of(graph, points, side, size):
    """Rows of the pixels' graph, as squares around points (y, x); 0 outside of the image."""
    radius, width = side // 2, size[1] + side - 1
    starts, values = graph.crow_indices(), graph.values()
    found = []
    for y, x in points:
        number = (y + radius) * width + x + radius
        row = values[starts[number] : starts[number + 1]]
        found.append(row.view(side, side).float())
    return torch.stack(found).numpy()


# -- windows of an image are solved together, those of others apart -------------------------------------------------


@pytest.mark.parametrize("kind", ["LPOSS", "LPOSSPlus"])
def test_a_batch_is_its_images_one_by_one(kind, build, image):
    """Of several windows each, and of two sizes."""
    model = build(kind)
    images = [image, image.flip(2), image[:, :40, :33].clone()]
    together = scores_of(model, *images)
    for found, one in zip(together, images, strict=True):
        torch.testing.assert_close(found, scores_of(model, one)[0], atol=2e-5, rtol=0)
    assert (together[0] - together[1]).abs().max() > 0.1


def test_windows_know_of_each_other(build, image):
    """The same window, alone and as one of six, has other scores; and other pixels elsewhere change them."""
    model = build()
    scene = Scene(image, (48, 61))
    corner = image[None, :, :32, :32]
    changed = image.clone()
    changed[:, :, 40:] = changed[:, :, 40:].flip(1)
    with torch.inference_mode():
        model.prepare()
        found, alone, other = (
            model.patch_logits(corner, scenes) for scenes in ([scene], None, [Scene(changed, (48, 61))])
        )
    assert (found - alone).abs().max() > 0.05
    assert (found - other).abs().max() > 0.01


def test_logits_of_any_window_of_the_image(build, image):
    model = build()
    scene = Scene(image, (48, 61))
    with torch.inference_mode():
        model.prepare()
        [maps] = model.encode_scenes([scene])
        solved = model.spread(maps, [(y, x) for y in (0, 16) for x in (0, 16, 29)])
        last = model.patch_logits(image[None, :, 16:, 29:], [scene])
        torch.testing.assert_close(last[0], solved[5].float())
        with pytest.raises(ValueError, match=r"must be one of them, with its corner in one of the rows \[0, 16\] and"):
            model.patch_logits(image[None, :, 3:35, :32], [scene])


# -- what each step is for ------------------------------------------------------------------------------------------


def test_without_spreading_logits_are_those_of_maskclip(build, build_method, image):
    """In LPOSS+, too."""
    plain = build_method("MaskCLIP", test_cfg=SLIDE, decode_head={"vocabulary": ["sky", "cat", "cup", "flower"]})
    for kind in ("LPOSS", "LPOSSPlus"):
        model = build(kind, alpha=0.0, decode_head={"vocabulary": ["sky", "cat", "cup", "flower"]})
        torch.testing.assert_close(scores_of(model, image)[0], scores_of(plain, image)[0], atol=1e-5, rtol=0)


def test_every_setting_changes_the_scores(build, image):
    options = {"alpha": 0.5, "k": 2, "gamma": 0.5, "sigma": 0.1, "pix_dist_pow": 2.0, "maxiter": 1, "tol": 0.5}
    check_settings_act(build(), {**options, "vfm_features": "key"}, image)


def test_every_setting_of_the_pixels_changes_the_scores(build, image):
    check_settings_act(build("LPOSSPlus"), {"r": 5, "tau": 0.1, "maxiter": 3}, image)


def check_settings_act(model, options, image):
    [found] = scores_of(model, image)
    for name, value in options.items():
        kept = getattr(model, name)
        setattr(model, name, value)
        assert (scores_of(model, image)[0] - found).abs().max() > 1e-3, name
        setattr(model, name, kept)


def test_pixels_follow_colours(build, image):
    """Two flat halves: LPOSS blurs their border, LPOSS+ does not."""
    halves = image.clone()
    halves[:, :, :30], halves[:, :, 30:] = image[:, :1, :1], image[:, -1:, -1:]
    jumps = []
    for kind in ("LPOSS", "LPOSSPlus"):
        [found] = scores_of(build(kind), halves, size=halves.shape[1:])
        steps = (found[:, :, 1:] - found[:, :, :-1]).abs().mean(dim=(0, 1))
        jumps.append(float(steps[29] / steps.sum()))
    assert jumps[1] > 3 * jumps[0]


@pytest.mark.parametrize("kind", ["LPOSS", "LPOSSPlus"])
def test_both_precisions_agree(kind, build, image):
    """With all neighbours, none of which is chosen by rounding."""
    single, double = build(kind, k=1000), build(kind, k=1000)
    double.double()
    [found], [expected] = scores_of(single, image), scores_of(double, image.double())
    torch.testing.assert_close(found, expected.float(), atol=2e-4 * float(expected.abs().max()), rtol=0)


# -- classes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "mode"), [("LPOSS", SLIDE), ("LPOSS", WHOLE), ("LPOSSPlus", WHOLE)])
@torch.inference_mode()
def test_scores_are_of_classes_the_largest_of_their_queries(kind, mode, build, image):
    """Queries that come as classes of their own have scores of their own, which are compared before resampling."""
    model = build(kind, test_cfg=mode)
    head = model.decode_head
    assert (head.num_classes, head.out_channels) == (4, 7)
    [found] = scores_of(model, image, size=(30, 41))
    assert found.shape == (4, 30, 41)
    apart = build(kind, test_cfg=mode, decode_head={"vocabulary": list(head.vocabulary.queries)})
    apart.prepare()
    if (kind, mode) == ("LPOSS", WHOLE):  # on patches
        [queries] = apart.patch_logits(image[None], [Scene(image, (30, 41))])
    else:
        [queries] = scores_of(apart, image, size=(48, 61))
    merged = torch.stack([queries[head.query_class == number].amax(dim=0) for number in range(4)])
    expected = F.interpolate(merged[None], size=(30, 41), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(found, expected, atol=1e-5 * float(expected.abs().max()), rtol=0)
    samples = model.predict(image[None], [SegDataSample(metainfo={"ori_shape": (30, 41)})])
    assert torch.equal(samples[0].pred_sem_seg.data[0], found.argmax(dim=0))


def test_queries_solved_some_at_a_time_are_the_same(build, image, monkeypatch):
    model = build("LPOSSPlus")
    [found] = scores_of(model, image)
    monkeypatch.setattr(lposs, "AT_ONCE", 2 * 48 * 61)
    torch.testing.assert_close(scores_of(model, image)[0], found, atol=1e-5, rtol=0)


def test_pamr_refines_the_classes(build, image):
    [found], [refined] = (scores_of(build(pamr_steps=steps), image) for steps in (0, 2))
    assert found.shape == refined.shape == (4, 50, 70)
    assert (found - refined).abs().max() > 1e-3


def test_images_are_padded_with_black_to_whole_patches(build):
    model = build()
    images = torch.zeros(2, 3, 20, 24)
    padded = model.grey_levels(model.padded(images))
    assert padded.shape == (2, 3, 24, 24)
    assert padded[:, :, 20:].abs().max() < 1e-4
    assert (padded[:, :, :20] > 90).all()
    assert model.padded(images[:, :, :16]).shape == (2, 3, 16, 24)


def test_places_are_the_centres_of_patches(build):
    places = build().places([(0, 0), (16, 5)], (1, 2))
    assert places.tolist() == [[4, 4], [4, 12], [20, 9], [20, 17]]
    assert PATCH == 8


def test_an_image_of_one_patch_has_scores(build):
    tiny = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))
    for kind in ("LPOSS", "LPOSSPlus"):
        [found] = scores_of(build(kind), tiny, size=(9, 9))
        assert found.isfinite().all()


def test_plugins_that_need_queries_refuse(build_method, build_own):
    base = build_own.adapted({"type": "LPOSS", "vfm": {"type": "DINO"}})
    with pytest.raises(ValueError, match="DSLO solves for the logits of queries, but its base LPOSS has merged"):
        build_method("DSLO", base=base, mode="kl", test_cfg=WHOLE)


# -- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (
            "LPOSS",
            {"vfm_features": "v"},
            r"model\.vfm_features must be one of \['query', .*\], but got 'v'",
        ),
        ("LPOSS", {"k": 0}, r"model\.k must be positive and a whole number, but got 0"),
        ("LPOSS", {"maxiter": 1.5}, r"model\.maxiter must be positive and a whole number, but got 1\.5"),
        ("LPOSS", {"alpha": 1.0}, r"model\.alpha must lie in \[0, 1\), but got 1\.0"),
        ("LPOSS", {"gamma": -1}, r"model\.gamma must be a number >= 0, but got -1"),
        ("LPOSS", {"sigma": "far"}, r"model\.sigma must be a number >= 0, but got 'far'"),
        ("LPOSS", {"tol": None}, r"model\.tol must be a number >= 0, but got None"),
        ("LPOSS", {"pad_to": 16}, r"model\.pad_to has no effect: LPOSS pads by itself"),
        ("LPOSS", {"vfm": {"type": "SAM"}}, r"SAM gives no projections: take one of DINO"),
        ("LPOSSPlus", {"r": 4}, r"model\.r must be odd, but got 4"),
        ("LPOSSPlus", {"r": 1}, r"model\.r must lie in \[3, 31\] and be a whole number, but got 1"),
        ("LPOSSPlus", {"tau": 0}, r"model\.tau must be positive and a number, but got 0"),
        ("LPOSSPlus", {"whole_upsampling": "direct"}, r"model\.whole_upsampling must be one of \['two_step'\]"),
    ],
)
def test_wrong_options_are_refused(kind, options, message, build):
    with pytest.raises(ValueError, match=message):
        build(kind, **options)


@pytest.mark.parametrize("key", BENCHMARKS)
def test_configs_have_the_authors_settings(key):
    """One setting for all."""
    for variant, kind in (("", "LPOSS"), ("-plus", "LPOSSPlus")):
        path = CONFIGS / "lposs" / f"lposs_vit-b16{variant}_{key}.py"
        model = load_config(path).model
        assert (model.type, model.short_side, model.decode_head.vocabulary) == (kind, 448, f"{key}_lposs")
        assert (model.backbone.pretrained, model.backbone.quick_gelu) == ("laion2b_s34b_b88k", False)
        assert (model.vfm.type, model.vfm.pretrained) == ("DINO", "facebook/dino-vitb16")
        assert model.decode_head.get("prob_threshold", 0) == 0
        assert dict(model.test_cfg) == {"mode": "slide", "crop_size": 224, "stride": 112}
        unified = load_config(path, {"protocol": "unified"}).model
        assert (unified.backbone.pretrained, unified.backbone.quick_gelu) == ("openai", None)


def test_defaults_are_those_of_the_code(build_own):
    model = build_own("LPOSSPlus")
    assert (model.k, model.gamma, model.sigma, model.pix_dist_pow) == (400, 3.0, 0.01, 1.0)
    assert (model.alpha, model.maxiter, model.tol) == (0.95, 10, 1e-6)
    assert (model.r, model.tau, model.vfm_features) == (13, 0.01, "value")
    assert (model.residual, model.feed_forward) == (True, True)
