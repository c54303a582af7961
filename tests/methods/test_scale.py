"""What a method makes on the way from images to labels grows with queries x patches, never with queries x pixels."""

import sys

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from mmseg_tfovss.profiling.random_weights.text import use_random_text
from tests.methods.own_config import SLIDE, WHOLE
from tests.methods.test_base import VARIANTS, random_images, samples

# Primes: a tensor of all queries, or of all classes, has a multiple of their number of values, and hardly another one.
CLASSES, QUERIES = 101, 211
RESIZED, SIZE = (64, 80), (30, 400)  # up to 192 patches of all windows, 5,120 and 12,000 pixels
WORDS = [", ".join(f"word {number} {k}" for k in range(2 + (number < QUERIES - 2 * CLASSES))) for number in range(101)]
LIMIT = 1000  # values for each query or class: far more than patches, far less than pixels
# Values that are held at a time, which with so few words would be all of them.
BOUNDS = ("BLOCK_ELEMENTS", "ACROSS_ELEMENTS", "HELD_ELEMENTS", "AT_ONCE", "_ELEMENTS")
ONE_STEP = {"pamr_steps": 1}
# One step of what takes ten of them; and steps after one another, each of which could keep what the one before gives.
CASES = {
    **VARIANTS,
    "NACLIP with PAMR": ("NACLIP", ONE_STEP),
    "LPOSSPlus": ("LPOSSPlus", {"maxiter": 1, "r": 3}),
    "ResCLIP": ("ResCLIP", {"label_pamr_steps": 1}),
    "LaVG with PAMR": ("LaVG", ONE_STEP),
    "LPOSS with PAMR": ("LPOSS", ONE_STEP),
    "Trident with PAMR": ("Trident", ONE_STEP),
    "DSLO around PAMR": ("DSLO", {"base": {"type": "NACLIP", **ONE_STEP}}),
}
# The quick ones are of each kind of canvas; the others are like them.
SLOW = (CASES.keys() - VARIANTS.keys()) | {"CASS", "CorrCLIP", "DSLO", "LPOSSPlus", "LaVG", "ResCLIP", "Trident"}
SLOW |= {"CLIPtraseSAM", "CLIPtraseSAM with clusters", "NACLIP with PAMR", "RFCLIP with distractors"}
# By case, why its computation needs more all the same: none does.
EXCEPTIONS: dict[str, str] = {}


class LargestMaps(TorchDispatchMode):
    """Watches the memory behind every tensor of floats that holds something of all queries, or of all classes."""

    def __init__(self):
        super().__init__()
        self.elements, self.where = 0, ""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        for made in tree_iter(found):
            if isinstance(made, Tensor) and made.is_floating_point() and made.layout == torch.strided:
                held = min(made.numel(), made.untyped_storage().nbytes() // made.element_size())
                if held > self.elements and (held % QUERIES == 0 or held % CLASSES == 0):
                    self.elements, self.where = held, f"{function} makes {tuple(made.shape)}"
        return found


@pytest.fixture
def few_at_a_time(monkeypatch):
    """Called: from now on, little is held at a time."""
    return lambda: _lower_bounds(monkeypatch)


def _lower_bounds(monkeypatch):
    for name, module in list(sys.modules.items()):
        if name.startswith(("mmseg_tfovss.ops.", "mmseg_tfovss.methods.")):
            for bound in BOUNDS:
                if hasattr(module, bound):
                    monkeypatch.setattr(module, bound, LIMIT * CLASSES // 2)


def assembly_of(model):
    data = model.data_preprocessor({"inputs": random_images(RESIZED), "data_samples": samples(SIZE)})
    [assembly] = model.inference(data["inputs"], [sample.metainfo for sample in data["data_samples"]])
    return assembly


@pytest.mark.parametrize("mode", ["slide", pytest.param("whole", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.slow] * (case in SLOW)) for case in CASES])
def test_no_tensor_of_queries_by_pixels(case, mode, build_own, few_at_a_time):
    name, options = CASES[case]
    thresholds = {"prob_threshold": 0.001, "area_threshold": 0.001 if "CLIPtrase" not in name else 0.0}
    model = build_own(
        name,
        test_cfg=WHOLE if mode == "whole" else SLIDE,
        decode_head={"vocabulary": WORDS, **thresholds},
        **options,
    )
    assert (model.decode_head.num_classes, model.decode_head.out_channels) == (CLASSES, QUERIES)
    use_random_text(model)
    expected = model.labels_of(assembly_of(model))
    few_at_a_time()
    with LargestMaps() as largest:
        labels = model.labels_of(assembly_of(model))
    assert (labels == expected).double().mean() > 0.999  # rounding may decide between near logits
    assert (largest.elements < LIMIT * QUERIES) == (case not in EXCEPTIONS), largest.where


def test_a_dense_canvas_is_found(build_own):
    model = build_own("SCLIP", decode_head={"vocabulary": WORDS})
    use_random_text(model)
    with LargestMaps() as largest:
        model.dense_logits(assembly_of(model))
    assert largest.elements == QUERIES * SIZE[0] * SIZE[1]
