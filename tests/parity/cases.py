"""The official outputs beside this file: find them, run our method on the same input, compare.

See the JSON of a case for its settings and gen_clip.py for its weights. ``seg_logits`` are stored on every 7th row and
column, the network's input on every 16th.
"""

import json
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmseg.structures import SegDataSample

from mmseg_tfovss.datasets.transforms import LoadImage
from mmseg_tfovss.ops.windows import Place
from mmseg_tfovss.registry import MODELS

FOLDER = Path(__file__).parent
# What we reach is about 1e-6; the fixture's own tolerance (2e-4) allows for other code paths.
TOLERANCE = 1e-5
# Where ours run. On another device differences are measured, but none is too large: its float32 may be TF32.
DEVICE = os.environ.get("MMSEG_TFOVSS_PARITY_DEVICE", "cpu")
# What was compared while this process ran: (method, array, greatest difference, or for labels the share that differs).
measured = []


def parity_cases(method):
    """Names of the cases of a method."""
    return sorted(path.stem for path in (FOLDER / method).glob("*.json"))


def load_case(method, name):
    """Settings (dict) and official arrays of a case."""
    path = FOLDER / method / name
    return json.loads(path.with_suffix(".json").read_text()), np.load(path.with_suffix(".npz"))


def write_words(settings, folder):
    """A class file with the words of a case: its path."""
    words = folder / "words.txt"
    words.write_text("\n".join(", ".join(group) for group in settings["classes"]))
    return str(words)


def build_square_case(settings, weights, folder, kind, *, position_mode, templates, subtracted_text=None, **kwargs):
    """Our method where the official code stretches images to a square with torchvision, and has no thresholds."""
    height, width = settings["resized_hw"]
    assert height == width
    backbone = {"arch": "auto", "pretrained": str(weights), "position_mode": position_mode}
    words = {"vocabulary": write_words(settings, folder), "templates": templates, "subtracted_text": subtracted_text}
    return MODELS.build(
        {
            "type": kind,
            "backbone": {"type": "CLIPImageEncoder", **backbone},
            "decode_head": {"type": "TextHead", **words},
            "test_cfg": {"mode": "whole"},
            "short_side": height,
            "stretch_to_square": True,
            "data_preprocessor": {"type": "CLIPPreprocessor", "exact": True},
            **kwargs,
        }
    )


def build_case(settings, weights, folder, kind, *, backbone=None, **kwargs):
    """Our method with the settings of a case; ``kwargs`` are what only this method knows."""
    crop = settings["slide_crop"]
    slide = {"mode": "slide", "crop_size": crop, "stride": settings["slide_stride"]}
    if settings["repo"] == "ClearCLIP":
        kwargs["pad_to"] = 16
    return MODELS.build(
        {
            "type": kind,
            "backbone": {"type": "CLIPImageEncoder", "arch": "auto", "pretrained": str(weights), **(backbone or {})},
            "decode_head": {
                "type": "TextHead",
                "vocabulary": write_words(settings, folder),
                "logit_scale": settings["logit_scale"],
                "prob_threshold": settings["prob_thd"],
                "area_threshold": settings["area_thd"],
            },
            "test_cfg": slide if crop else {"mode": "whole"},
            "short_side": settings["S"],
            "pamr_steps": settings["pamr_steps"],
            "pamr_dilations": settings["pamr_dilations"],
            **kwargs,
        }
    )


@torch.inference_mode()
def run_case(model, settings, size=None):
    """Our arrays, under the names and on the grids of the official ones.

    Args:
        model: ours.
        settings: of the case.
        size: height and width of the official arrays at full size; None: those of the image.
    """
    model = model.to(DEVICE)
    loaded = LoadImage()({"img_path": str(FOLDER / settings["image"])})
    assert list(loaded["ori_shape"]) == settings["image_hw"]
    sample = SegDataSample(metainfo={"ori_shape": loaded["ori_shape"]})
    batch = {"inputs": [torch.from_numpy(loaded["img"]).permute(2, 0, 1)], "data_samples": [sample]}
    image = model.data_preprocessor(batch)["inputs"][0]
    assert list(image.shape[1:]) == settings["resized_hw"]
    if size is not None:
        sample.set_metainfo({"ori_shape": tuple(size)})
    [assembly] = model.inference([image], [sample.metainfo])
    [sample] = model.postprocess_result([assembly], [sample])
    window, plan = settings["patch_window"], model.window_plan(assembly.scene.resized)
    padding = plan.padding if plan.crop == (window["h"], window["w"]) else (0, 0, 0, 0)
    corner = image[None, :, window["y"] : window["y"] + window["h"], window["x"] : window["x"] + window["w"]]
    corner, place = F.pad(corner, padding), Place(window["y"], window["x"], padding)
    grid = settings["seg_logits_grid"]
    found = {
        "query_features": model.decode_head.text_features,
        "query_idx": model.decode_head.query_class,
        "input_sub": image[:, ::16, ::16],
        "patch_logits": model.patch_logits(corner, [assembly.scene], [place])[0],
        "seg_logits": model.dense_logits(assembly)[:, ::grid, ::grid],
        "pred": sample.pred_sem_seg.data[0],
    }
    return {name: array.cpu().numpy() for name, array in found.items()}


def check_case(model, settings, official, size=None, tolerance=TOLERANCE):
    """Assert that all six arrays of a case agree."""
    ours = run_case(model, settings, size)
    assert ours["query_idx"].tolist() == official["query_idx"].tolist()
    for name in ("query_features", "input_sub", "patch_logits", "seg_logits"):
        assert ours[name].shape == official[name].shape, name
        worst = np.abs(ours[name] - official[name]).max()
        assert DEVICE != "cpu" or worst <= min(tolerance, settings["tol_logits"]), f"{name} differs by {worst:.1e}"
    assert ours["pred"].shape == official["pred"].shape
    assert DEVICE != "cpu" or (ours["pred"] == official["pred"]).mean() >= settings["min_label_agreement"]
    measure_case(model, ours, official)


def measure_case(model, ours, official):
    """Keep how far a case is from the official one."""
    for name in ("patch_logits", "seg_logits", "pred"):
        measure(next(key for key, kind in MODELS.module_dict.items() if kind is type(model)), name, ours, official)


def measure(method, name, ours, official):
    """Keep how far an array is from the official one, of labels the share that differs; see ``__main__.py``."""
    ours, official = ours[name], official[name]
    measured.append(
        (method, name, float((ours != official).mean() if name == "pred" else np.abs(ours - official).max()))
    )
