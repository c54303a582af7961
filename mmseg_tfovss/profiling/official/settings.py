"""The official settings that mean the same as a config of ours."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.official.segmentor import Segmentor

# ClearCLIP's repository runs several methods; its configs name CLIP, and a comment in them how to name the others.
_MODEL_TYPES = {
    "CLIP": "vanilla",
    "MaskCLIP": "MaskCLIP",
    "SCLIP": "SCLIP",
    "ClearCLIP": "ClearCLIP",
    "GEM": "GEM",
}


def choose_settings(
    own: Mapping[str, Any], segmentor: Segmentor, config: Config, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Settings of the official segmentor.

    Args:
        own: those of the repository's config for the benchmark.
        segmentor: the official class.
        config: ours.
        changes: of the user, which come last.

    Raises:
        ValueError: the class has no such option.
    """
    options = segmentor.options
    unknown = set(changes) - set(own) - set(options)
    if unknown:
        raise ValueError(
            f"--official: {segmentor.file.name} has no option {', '.join(sorted(unknown))}."
            f" It has: {', '.join(sorted(options))}."
        )
    return {**own, **_command_line(options), **_network(options, config), **changes}


def _command_line(options: Mapping[str, Any]) -> dict[str, Any]:
    """What a README gives on the command line: CASS is evaluated with ``--pamr off``, Trident with ``--sam_refine``."""
    given: dict[str, Any] = {"pamr_steps": 0} if "h_threshold" in options else {}
    return {**given, "sam_refinement": True} if "sam_refinement" in options else given


def _network(options: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """The method, where a repository has several, and the architecture of CLIP, where it must be named."""
    model, arch = config.model, config.model.backbone.arch
    if {"clip_type", "vit_type", "model_type"} <= set(options):
        return {
            "vit_type": arch,
            "model_type": _MODEL_TYPES[model.type],
            # Its configs have these two for ClearCLIP.
            "ignore_residual": model.get("ignore_residual", model.type == "ClearCLIP"),
            "prob_thd": model.decode_head.get("prob_threshold") or 0.0,
        }
    return {"model_type": arch} if "model_type" in options else {}


def check_same_work(settings: Mapping[str, Any], segmentor: Segmentor, ours: OpenVocabSegmentor) -> None:
    """Refuse sides of which one has other windows than the other, or PAMR alone: they do not do the same work.

    Raises:
        ValueError: what differs, and how to make it the same.
    """
    whole = ours.mode == "whole"
    wanted = {
        "slide_crop": 0 if whole else ours.crop,
        "slide_stride": None if whole else ours.stride,
        "pamr_steps": ours.pamr_steps,
    }
    for name, value in wanted.items():
        theirs = settings.get(name, segmentor.options.get(name))
        if name in segmentor.options and value is not None and _pair(theirs) != _pair(value):
            number = value[0] if isinstance(value, tuple) and value[0] == value[1] else value
            raise ValueError(
                f"--against: the official {name} is {theirs}, but ours means {number}, so the two would not do the same"
                f" work. Add --official {name}={number}, or change our config by --cfg-options."
            )


def _pair(value: Any) -> Any:  # noqa: ANN401 - a number or a pair of them
    return (value, value) if isinstance(value, int) else tuple(value or ())
