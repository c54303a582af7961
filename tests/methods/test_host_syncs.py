"""A GPU is given a whole batch before anybody waits for it: counted for every registered method."""

import pytest
import torch

from mmseg_tfovss.profiling.host_syncs import host_syncs
from tests.methods.own_config import SLIDE, WHOLE
from tests.methods.test_base import VARIANTS, random_images, samples

SIZES = ((40, 32), (32, 40))
FLAGS = "deferred.py"  # flags of what is no number, read together when all labels are there
# Files in which a method may wait inside a batch, and why. All others wait for nothing but the flags.
WAITS = {
    "CASS": (("ops/spectral.py",), "heads are matched on the CPU, and eigenvalues may fail"),
    "CLIPtrase": (("ops/clustering.py", "methods/cliptrase.py"), "DBSCAN runs on the CPU"),
    "CLIPtraseSAM": (
        ("ops/clustering.py", "methods/cliptrase.py", "methods/cliptrase_sam.py", "ops/labels.py", "encoders/"),
        "DBSCAN runs on the CPU, and SAM gets one prompt for each cluster",
    ),
    "CorrCLIP": (
        ("ops/scope.py", "methods/corrclip.py", "ops/labels.py"),
        "the number of regions is known from the masks only, and DBSCAN runs on the CPU",
    ),
    "DSLO": (("ops/mass.py",), "early rejection decides for how many queries there is something to solve"),
    "DSLO, optimal path": (("ops/mass.py", "solvers/"), "and Sinkhorn stops when it has converged"),
    "LaVG": (("methods/lavg.py", "ops/"), "masks are cut on the CPU"),
    "RFCLIP of the paper": (("ops/graph.py",), "eigenvectors of the attention may fail"),
    "Trident": (("methods/", "ops/", "encoders/"), "SAM gets one prompt for each region that was found"),
}
WAITS |= {f"{name} with clusters": WAITS[name] for name in ("CLIPtrase", "CLIPtraseSAM")}
CASES = {
    **VARIANTS,
    "DSLO": ("DSLO", {"max_steps": 3}),  # the others are like these
    "DSLO, optimal path": ("DSLO", {"mode": "optimal_path"}),
}
NOT_COUNTED = {"LPOSS", "LPOSSPlus"}  # sparse graphs, which the pretended device does not know
SLOW = {"CASS", "CLIPtrase", "CLIPtraseSAM", "CLIPtraseSAM with clusters", "CorrCLIP", "LaVG"}
SLOW |= {"DSLO", "DSLO, optimal path", "NACLIP with PAMR", "ResCLIP", "Trident"}
SLOW |= {"RFCLIP of the paper", "RFCLIP with distractors"}


def batch():
    return {"inputs": random_images(*SIZES), "data_samples": samples(*SIZES)}


def check(method, found):
    flags = [sync for sync in found if sync.place.startswith(FLAGS)]
    inside = [sync for sync in found if sync not in flags]
    assert len(flags) == 1
    if method in WAITS:
        files, _ = WAITS[method]
        assert {sync for sync in inside if not sync.place.startswith(files)} == set()
        assert inside, f"{method} waits no more: take it out of WAITS."
    else:
        assert inside == [], f"{method} waits inside a batch: find another way, or give the reason in WAITS."


@pytest.mark.parametrize(
    "method",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in sorted(CASES.keys() - NOT_COUNTED)],
)
def test_a_batch_is_labelled_without_waiting(method, build_own):
    name, options = CASES[method]
    check(method, host_syncs(build_own(name, **options), batch()))


@pytest.mark.slow
@pytest.mark.parametrize("mode", [SLIDE, WHOLE], ids=["slide", "whole"])
@pytest.mark.parametrize("method", sorted(VARIANTS.keys() - NOT_COUNTED - WAITS.keys()))
def test_so_it_is_in_both_modes_and_with_thresholds(method, mode, build_own):
    name, options = CASES[method]
    thresholds = {"prob_threshold": 0.2, "area_threshold": 0.1}
    check(method, host_syncs(build_own(name, test_cfg=mode, decode_head=thresholds, **options), batch()))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", sorted(VARIANTS.keys() - NOT_COUNTED - WAITS.keys()))
def test_a_gpu_says_so_too(method, build_own):
    """Its images come in memory that is not pinned, so they may wait."""
    name, options = CASES[method]
    found = host_syncs(build_own(name, **options).to("cuda"), batch())
    check(method, [sync for sync in found if not sync.place.startswith("encoders/preprocessor.py")])
