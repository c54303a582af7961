"""One image through the demo's path, against the official outputs."""

import json

import numpy as np
import pytest
import torch

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.single import build_method, save_arrays, segment_file
from tests.parity import cases

ROOT = cases.FOLDER.parents[1]


def options(case, weights):
    """A case's settings as a user would give them on the command line (contract C4)."""
    whole = not case["slide_crop"]
    return {
        "model.backbone.pretrained": str(weights),
        "model.backbone.arch": "auto",
        "model.precision": "fp32",
        "short_side": case["S"],
        "model.test_cfg.mode": "whole" if whole else "slide",
        **({} if whole else {"model.test_cfg.crop_size": case["slide_crop"]}),
        **({} if whole else {"model.test_cfg.stride": case["slide_stride"]}),
        "model.decode_head.logit_scale": case["logit_scale"],
        "model.decode_head.prob_threshold": case["prob_thd"],
        "model.decode_head.area_threshold": case["area_thd"],
        "model.decode_head.vocabulary": [", ".join(group) for group in case["classes"]],
    }


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("sclip", "sclip-bg_area-astronaut"),
        ("sclip", "sclip-whole_bg-astronaut"),
        ("clearclip", "clearclip-pad_S300_bg-china"),
        ("naclip", "naclip-pamr10_whole_bg-china"),
        ("maskclip", "maskclip-residual_nobg-china"),
    ],
)
def test_configs_with_overrides_reproduce_official_outputs(method, name, tiny_clip, tmp_path):
    case = json.loads((cases.FOLDER / method / f"{name}.json").read_text())
    config = load_config(ROOT / f"configs/{method}/{method}_vit-b16_voc21.py", options(case, tiny_clip))
    model = build_method(config, "cpu")
    whole = case["slide_crop"] == 0
    window = (0, 0) if whole or case["slide_crop"] == 224 else None
    result = segment_file(model, cases.FOLDER / case["image"], keep_logits=True, window=window)
    save_arrays(result, tmp_path / "out.npz")
    with np.load(cases.FOLDER / method / f"{name}.npz") as official, np.load(tmp_path / "out.npz") as ours:
        assert np.abs(ours["seg_logits"][:, ::7, ::7] - official["seg_logits"]).max() < 1e-5
        assert (ours["pred"] == official["pred"]).mean() > 0.9999
        if window:
            assert np.abs(ours["patch_logits"] - official["patch_logits"]).max() < 1e-5
        assert list(ours["queries"]) == [word for group in case["classes"] for word in group]
        assert len(ours["classes"]) == len(case["classes"])
        assert ours["classes"][0] == case["classes"][0][0]  # the user's words, whatever a threshold does


def test_unknown_device_is_named(tiny_clip):
    config = load_config(
        ROOT / "configs/sclip/sclip_vit-b16_voc21.py",
        {"model.backbone.pretrained": str(tiny_clip), "model.backbone.arch": "auto"},
    )
    for device in ("gpu", *(() if torch.cuda.is_available() else ("cuda",))):
        with pytest.raises(ValueError, match=f"The device '{device}' is not available here"):
            build_method(config, device)
