"""Trident: the official outputs and what leads to them, and what each step is for."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.methods import trident
from mmseg_tfovss.ops import mask_refinement
from mmseg_tfovss.ops.affinity import affinity_rows
from mmseg_tfovss.ops.mask_refinement import halved
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
