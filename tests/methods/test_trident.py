"""Trident: the official outputs and what leads to them, the steps against loops, and what each is for."""

from dataclasses import replace
from itertools import product

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.methods import trident
from mmseg_tfovss.methods.stages import LOGITS, Scene, Windows
from mmseg_tfovss.methods.trident import patched_size, spliced_grid
from mmseg_tfovss.ops import mask_refinement
from mmseg_tfovss.ops.affinity import affinity_rows
from mmseg_tfovss.ops.mask_refinement import halved
from tests.methods import reference
from tests.mini import BLOCKS, PATCH, WIDTH
from tests.parity import gen_clip
from tests.parity.cases import TOLERANCE, build_case, check_case, load_case, parity_cases

CASES = parity_cases("trident")
QUICK = "trident-refine_nobg-china"
FLIPPED = {"trident-stride112_nobg-coffee"}  # pairs of patches within rounding of a threshold change sides


# -- the official code ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def write_weights(tmp_path_factory):
    """Writes the weights that a case names, once: ``write_weights(settings)`` -> files by kind."""
    folder, written = tmp_path_factory.mktemp("weights"), {}

    def write(settings):
        for kind, recipe in settings["weights_spec"].items():
            if (kind, recipe["seed"]) not in written:
                state = gen_clip.make(kind, recipe["seed"])
                assert gen_clip.sha256(state) == recipe["sha256"]
                written[kind, recipe["seed"]] = folder / f"{kind}_{recipe['seed']}.pt"
                torch.save(state, written[kind, recipe["seed"]])
        return {kind: written[kind, recipe["seed"]] for kind, recipe in settings["weights_spec"].items()}

    return write


def build_official(settings, files, folder):
    options = settings["options"]
    refinement = ("coarse_thresh", "minimal_area", "sam_iou_thresh", "sam_mask_coff")
    return build_case(
        settings,
        files["clip"],
        folder,
        "Trident",
        vfm={"type": "DINO", "pretrained": str(files["dino16_w32"])},
        sam={"type": "SAM", "pretrained": str(files["sam_tiny"])},
        beta=options["beta"],
        gamma=options["gamma"],
        cos_fac=options["cos_fac"],
        refine_neg_cos=options["refine_neg_cos"],
        halves=options["dataset_type"] == "CityscapesDataset",
        sam_refine=options["sam_refinement"],
        **{name: options[name] for name in refinement if name in options},
    )


class Calls(list):
    """Calls of functions, in their order: name, arguments, what they gave."""

    def spy(self, monkeypatch, owner, *names):
        for name in names:
            inner = getattr(owner, name)

            def record(*args, name=name, inner=inner, **kwargs):
                found = inner(*args, **kwargs)
                self.append((name, args, found))
                return found

            monkeypatch.setattr(owner, name, record)

    def given(self, name, index):
        return [args[index] for called, args, _ in self if called == name]

    def found(self, name):
        return [found for called, _, found in self if called == name]


def aggregation_arrays(calls, options):
    """Canvas, thresholds, values and some rows of the affinity, as the fixture holds them."""
    row, column = options["canvas_offset"]
    parts = len(options["sam_affinity_kept"])
    blocks = [image.last_block for image in calls.given("aggregate", 1)[:parts]]
    thresholds = calls.found("similarity_thresholds")[:parts]
    rows = []
    for block, theta in zip(blocks, thresholds, strict=True):
        whole = torch.cat([some for _, some in affinity_rows(block.attention, block.values, theta)])
        rows.append(whole[options["affinity_row_offset"] :: 193, ::7])
    values = [block.values.unflatten(1, block.grid) for block in blocks]
    return {
        "canvas_sub": calls.found("splice")[0][::4, row::3, column::3],
        "theta": torch.cat(thresholds),
        "affinity_sub": torch.cat(rows),
        "sam_v_sub": torch.cat(values, dim=2)[:, ::6, ::6],
    }


def refinement_arrays(calls, options, size):
    """Regions, prompts, masks and the refined class maps, as the fixture holds them."""
    [probabilities] = set(calls.given("of", 0))
    whole = torch.stack([probabilities.of(number) for number in range(probabilities.classes)])
    refined, failed, numbers = torch.zeros_like(whole), torch.zeros(halved(size), dtype=torch.bool), []
    number = regions = None
    for name, args, found in list(calls):
        if name == "of":
            number = args[1]
        elif name == "find_regions":
            regions = found
        elif name == "class_map":
            refined[number], kept = found
            failed |= regions.masks[~kept].any(dim=0)
            numbers += [number] * len(kept)
    # The official class maps of regions that failed are those of before, where these are larger.
    again = F.interpolate(failed[None, None].float(), size=size, mode="nearest")[0, 0]
    masks, iou = (torch.cat(parts) for parts in zip(*calls.found("decode"), strict=True))
    down, across = options["mask_prob_offset"]
    return {
        "region_class": torch.tensor(numbers),
        "region_box": torch.cat(calls.given("decode", 3)),
        "region_point": torch.cat(calls.given("decode", 1))[:, 0],
        "region_iou": iou,
        "region_mask_prob_sub": masks.sigmoid()[:, down::8, across::8],
        "mask_prompt_sub": torch.stack(calls.found("mask_prompt"))[:, ::8, ::8],
        "refined_sub": torch.maximum(refined, again * whole)[:, ::7, ::7],
    }


def test_there_are_official_outputs():
    assert len(CASES) >= 6
    assert QUICK in CASES
    assert set(CASES) >= FLIPPED


@pytest.mark.parametrize(
    "name", [QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in CASES if name != QUICK)]
)
def test_equals_official_code(name, write_weights, tmp_path, monkeypatch):
    """The outputs, and what they are made of."""
    settings, official = load_case("trident", name)
    options, size = settings["options"], tuple(settings["image_hw"])
    model, calls = build_official(settings, write_weights(settings), tmp_path), Calls()
    calls.spy(monkeypatch, trident, "similarity_thresholds")
    calls.spy(monkeypatch, mask_refinement, "find_regions")
    calls.spy(monkeypatch, mask_refinement.MaskRefinement, "class_map", "mask_prompt")
    calls.spy(monkeypatch, mask_refinement.ClassProbabilities, "of")
    calls.spy(monkeypatch, model, "splice", "aggregate")
    calls.spy(monkeypatch, model.sam, "decode")
    tolerance = settings["tol_logits"] if name in FLIPPED else TOLERANCE
    check_case(model, settings, official, tolerance=tolerance)
    found = aggregation_arrays(calls, options)
    if options["sam_refinement"]:
        found |= refinement_arrays(calls, options, size)
        found = {key: values for key, values in found.items() if key in official}
        assert len(found) == 7  # the others are those of the case without refinement
    for key in found:
        expected = torch.from_numpy(official[key])
        assert found[key].shape == expected.shape, key
        # Tokens and places are larger than cosines: their tolerance is relative.
        worst = ((found[key] - expected).abs().max() / expected.abs().max().clamp_min(1)).item()
        assert worst <= TOLERANCE, f"{key} differs by {worst:.1e}"


# -- the steps ------------------------------------------------------------------------------------------------------

POCKET = {"vfm": {"type": "DINO", "pretrained": "pocket"}, "sam": {"type": "SAM", "pretrained": "pocket"}}
SIZE = (48, 80)  # of images whose sides are multiples of the patch


@pytest.fixture(scope="module")
def build(build_method):
    """Trident on the mini CLIP, over the pocket networks."""

    def build(**options):
        model = build_method("Trident", **{**POCKET, **options})
        model.prepare()
        return model

    return build


@pytest.fixture(scope="module")
def model(build):
    """Windows of 32 pixels at steps of 16."""
    return build()


@pytest.fixture
def image():
    draw = torch.Generator().manual_seed(2)
    coarse = torch.randn(1, 3, 6, 10, generator=draw)
    return F.interpolate(coarse, size=SIZE, mode="bilinear")[0] + 0.3 * torch.randn(3, *SIZE, generator=draw)


def blocks_before_the_last(state, images):
    """Tokens (B, 1 + hw, C) of windows, from the raw weights."""
    tokens = reference_embedding(state, images)
    for number in range(1, BLOCKS):
        weights = reference.block_weights(state, number)
        query, key, value = reference.qkv(weights, tokens)
        tokens = tokens + reference.merge(weights, reference.attend(query, key, value))
        tokens = tokens + reference.feed_forward(weights, tokens)
    return tokens


def reference_embedding(state, images):
    """ln_pre(patches, class token and positions) of windows of the native size."""
    patches = F.conv2d(images.double(), state["visual.conv1.weight"].double(), stride=PATCH).flatten(2).transpose(1, 2)
    cls = state["visual.class_embedding"].double().expand(len(images), 1, -1)
    tokens = torch.cat([cls, patches], dim=1) + state["visual.positional_embedding"].double()
    gains = (state[f"visual.ln_pre.{kind}"].double() for kind in ("weight", "bias"))
    return F.layer_norm(tokens, (WIDTH,), *gains)


def proxy_by_hand(features):
    """A (n, N, N) of features E (n, D, h, w), with one mean for all windows."""
    unit = F.normalize(features.double().flatten(2), dim=1)
    similarity = unit.transpose(1, 2) @ unit
    scores = 3.0 * (similarity - 1.2 * similarity.mean())
    return scores.masked_fill(scores < 0, -torch.inf).softmax(dim=-1)


def test_windows_are_spliced_patch_by_patch(model, image, mini_state):
    corners = list(product((0, 16), (0, 16, 32, 48)))
    windows = torch.stack([image[:, top : top + 32, left : left + 32] for top, left in corners])
    attention = proxy_by_hand(model.vfm.features(model.grey_levels(windows), (4, 4)))
    assert (attention == 0).float().mean() > 0.1
    weights = reference.last_block_weights(mini_state)
    value = reference.qkv(weights, blocks_before_the_last(mini_state, windows))[2]
    tokens = reference.merge(weights, [attention @ head[:, 1:] for head in value])  # (n, 16, C)
    total, count = torch.zeros(WIDTH, 6, 10, dtype=torch.float64), torch.zeros(6, 10)
    for (top, left), own in zip(corners, tokens.transpose(1, 2).unflatten(2, (4, 4)), strict=True):
        total[:, top // 8 : top // 8 + 4, left // 8 : left // 8 + 4] += own
        count[top // 8 : top // 8 + 4, left // 8 : left // 8 + 4] += 1
    with torch.inference_mode():
        found = model.splice(image)
    expected = total / count
    # A pair of patches may be within rounding of the threshold.
    assert ((found - expected).abs() < 1e-3 * expected.abs().max()).float().mean() > 0.98


def test_windows_share_a_mean_within_their_image_only(model, image):
    """So that a window's attention depends on the other windows of its image, and on no other image."""
    other = torch.randn(image.shape, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        alone, beside = model.splice(image), model.splice(torch.cat([image[:, :, :32], other[:, :, 32:]], dim=2))
        pairs = [model.patch_logits(torch.stack([image, two]))[0] for two in (image, other)]
    assert not torch.equal(alone[:, :, :2], beside[:, :, :2])  # patches that lie in no window with the others
    assert torch.equal(*pairs)


def test_an_image_of_one_patch_in_width_has_no_halves(build, image):
    model = build(halves=True)
    with torch.inference_mode():
        logits = model.patch_logits(image[None, :, :, : model.backbone.patch_size])
    assert logits.isfinite().all()


@pytest.mark.parametrize("halves", [False, True])
def test_the_image_is_aggregated_by_sams_affinity(halves, build, image):
    """With the whole matrices of all heads; and features are not those of the windows any more."""
    model = build(halves=halves, cos_fac=0.5)
    with torch.inference_mode():
        scene = Scene(image, SIZE)
        [seen] = model.look([scene])[trident.SEEN_BY_SAM]
        spliced = model.splice(image)
        found = model.encode(Windows(image[None], [replace(scene, seen={trident.SEEN_BY_SAM: seen})]))[LOGITS][0]
    assert len(seen.parts) == 1 + halves
    rows = []
    for part, encoded in zip(spliced.chunk(1 + halves, dim=2), seen.parts, strict=True):
        block = encoded.last_block
        maps = F.interpolate(part[None], size=block.grid, mode="bilinear")[0].flatten(1).T
        count = len(maps)
        attention, unit = block.attention(slice(0, count)), F.normalize(block.values, dim=-1)
        similarity = unit @ unit.transpose(1, 2)  # (heads, N, N)
        theta = (0.5 * similarity.mean(dim=(0, 2))).clamp(max=0.9)
        kept = torch.where(similarity > theta[:, None], attention, 0).mean(dim=0)
        assert 0.1 < (kept > 0).float().mean() < 0.95
        rows.append((kept / kept.sum(dim=1, keepdim=True) @ maps).T.unflatten(1, block.grid))
    tokens = torch.cat(rows, dim=2)
    expected = model.decode_head(
        model.backbone.project(tokens.flatten(1).T)[None].transpose(1, 2).unflatten(2, tokens.shape[1:])
    )[0]
    assert found.shape == (7, *expected.shape[1:])
    assert ((found - expected).abs() < 1e-4).float().mean() > 0.99
    plain = F.interpolate(spliced[None], size=expected.shape[1:], mode="bilinear")
    plain = model.decode_head(
        model.backbone.project(plain.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, plain.shape[2:])
    )[0]
    assert (found - plain).abs().max() > 0.02


def test_sam_sees_the_image_of_the_file(model, image):
    draw = np.random.default_rng(0)
    original = draw.integers(0, 256, (37, 50, 3), dtype=np.uint8)
    scene = Scene(image, (37, 50), original=original)
    calls = []
    inner = model.sam.encode
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(model.sam, "encode", lambda shown: calls.append(shown) or inner(shown))
        seen = model.show_to_sam(scene)
        model.show_to_sam(replace(scene, original=None))
    assert seen.size == (40, 56)  # multiples of 8
    grown = cv2.resize(original, (56, 40))
    assert calls[0].shape == (3, 183, 256)
    shown = F.interpolate(
        torch.from_numpy(grown.copy()).permute(2, 0, 1)[None].float(), size=(183, 256), mode="bilinear"
    )
    assert (calls[0] - shown[0]).abs().max() <= 1
    assert calls[1].shape == (3, 154, 256)  # the network's image


@pytest.mark.parametrize(
    ("size", "patch", "least", "expected"),
    [
        ((673, 448), 16, (336, 336), (688, 464)),  # 448 * 688 / 673 = 457.99
        ((480, 640), 16, (336, 336), (480, 640)),
        ((300, 400), 16, (336, 336), (336, 400)),  # 400 stays; 300 -> 304, which is too little
        ((320, 432), 16, (336, 336), (320, 432)),  # multiples stay as they are
        ((448, 597), 14, (336, 336), (462, 602)),  # 448 * 602 / 597 = 451.75
        ((20, 9), 8, (0, 0), (24, 16)),
    ],
)
def test_sides_become_multiples_of_the_patch(size, patch, least, expected):
    assert patched_size(size, patch, least) == expected


@pytest.mark.parametrize(
    ("grid", "patches", "expected"),
    [
        ((21, 21), (21, 21), (21, 21)),
        ((42, 42), (21, 21), (42, 42)),
        ((21, 21), (24, 24), (24, 24)),
        ((14, 21), (16, 24), (16, 24)),
        ((5, 5), (24, 24), (24, 24)),
    ],
)
def test_maps_are_spliced_on_a_multiple_of_clips_grid(grid, patches, expected):
    assert spliced_grid(grid, patches) == expected


def test_windows_of_another_grid_than_clips_are_spliced(build, image):
    """As for ViT-H/14 with DINO's patches of 16 pixels; images need no windows of full size."""
    model = build()
    model.vfm.own_patches = lambda images: (images, (3, 5))
    with torch.inference_mode():
        assert model.splice(image).shape == (WIDTH, 6, 10)
        assert model.splice(image[:, :16, :24]).shape == (WIDTH, 4, 6)  # twice CLIP's


# -- masks ----------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def test_a_mask_prompt_is_normalised_over_its_rows(build):
    official, paper = build(), build(official_quirks=False)
    prompt = 0.005 * torch.rand(64, 64, generator=torch.Generator().manual_seed(0))
    layers = paper.sam.model.prompt_encoder.mask_embed
    torch.testing.assert_close(paper.embed_mask(prompt), layers(prompt[None, None]))
    maps = prompt[None]
    for layer, norm in ((layers.conv1, layers.layer_norm1), (layers.conv2, layers.layer_norm2)):
        maps = layer(maps[None])[0]
        for channel, column in product(range(len(maps)), range(maps.shape[2])):
            line = maps[channel, :, column].clone()
            unit = (line - line.mean()) / (line.var(correction=0) + norm.eps).sqrt()
            maps[channel, :, column] = norm.weight[channel] * unit + norm.bias[channel]
        maps = F.gelu(maps)
    torch.testing.assert_close(official.embed_mask(prompt), layers.conv3(maps[None]), atol=1e-4, rtol=1e-4)
    assert (official.embed_mask(prompt) - paper.embed_mask(prompt)).abs().max() > 0.1


def tell_apart(model, image):
    """Words along which the features of an image differ most, both ways, so that there are several labels."""
    features = model.extract_feat(image[None])[0].flatten(1).T
    mean = F.normalize(features.mean(dim=0), dim=0)
    ways = torch.linalg.svd(features - (features @ mean)[:, None] * mean, full_matrices=False)[2][:4]
    model.decode_head.text_features = torch.stack([ways, -ways], dim=1).flatten(0, 1)[:7].contiguous()
    return model


@torch.inference_mode()
def test_masks_change_labels_and_no_logits(build, image):
    options = {"minimal_area": 4, "coarse_thresh": 0.0, "sam_iou_thresh": 0.0}
    labels, logits = [], []
    for changes in ({}, {"official_quirks": False}, {"sam_refine": False}):
        model = tell_apart(build(**options, **changes), image)
        [assembly] = model.inference([image], [{"ori_shape": (61, 100)}])
        labels.append(model.labels_of(assembly))
        logits.append(model.dense_logits(assembly))
    assert torch.equal(logits[0], logits[2])
    assert labels[0].shape == (61, 100)
    assert (labels[0] != labels[2]).sum() > 20
    assert not torch.equal(labels[0], labels[1])
    assert torch.equal(labels[2], model.decode_head.query_class[logits[2].argmax(dim=0)])


def test_without_good_masks_labels_are_those_of_the_logits(build, image):
    settings = {"sam_iou_thresh": 9}, {"sam_refine": False}
    found = [tell_apart(build(**options), image).predict([image])[0].pred_sem_seg.data for options in settings]
    assert len(found[0].unique()) > 1
    assert torch.equal(*found)


# -- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"beta": -1}, r"model\.beta must lie in \[0, inf\], but got -1"),
        ({"gamma": 0}, r"model\.gamma must be positive and a number, but got 0"),
        ({"cos_fac": "1"}, r"model\.cos_fac must lie in \[0, inf\], but got '1'"),
        ({"halves": 2}, r"model\.halves must be one of \[True, False\], but got 2"),
        ({"sam_refine": None}, r"model\.sam_refine must be one of \[True, False\], but got None"),
        ({"coarse_thresh": 1.2}, r"model\.coarse_thresh must lie in \[0, 1\], but got 1\.2"),
        ({"pad_to": 56}, r"model\.pad_to=56 has no effect"),
        ({"whole_upsampling": "two_step"}, r"model\.whole_upsampling='two_step' has no effect"),
        ({"residual": True}, r"model\.residual and model\.feed_forward have no effect"),
        (
            {"test_cfg": {"mode": "slide", "crop_size": 32, "stride": 12}},
            r"model\.test_cfg\.stride must be a multiple of 8",
        ),
        (
            {"test_cfg": {"mode": "slide", "crop_size": 36, "stride": 16}},
            r"model\.test_cfg\.crop_size must be a multiple of 8",
        ),
        ({"sam": {"type": "DINO", "pretrained": "pocket"}}, r"model\.sam: DINO gives no masks"),
        ({"sam": None}, r"Trident needs a network: set model\.sam"),
    ],
)
def test_refuses_settings_in_a_sentence(options, said, build):
    with pytest.raises(ValueError, match=said):
        build(**options)


@pytest.mark.parametrize("option", ["vfm", "sam"])
def test_missing_weights_are_named(option, build):
    with pytest.raises(FileNotFoundError, match=rf"set model\.{option}\.pretrained to"):
        build(**{option: {**POCKET[option], "pretrained": "no/such.pth"}})


def test_sams_single_mask_is_the_default(build, model):
    assert not model.sam.multimask
    assert build(sam={**POCKET["sam"], "multimask": True}).sam.multimask
