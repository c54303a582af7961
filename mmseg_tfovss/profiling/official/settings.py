"""The official settings that mean the same as a config of ours."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmseg_tfovss.profiling.official.checkout import Checkout

# ClearCLIP's repository runs several methods; its configs name CLIP, and a comment in them how to name the others.
_MODEL_TYPES = {"CLIP": "vanilla", "MaskCLIP": "MaskCLIP", "SCLIP": "SCLIP", "ClearCLIP": "ClearCLIP", "GEM": "GEM"}


def choose_settings(checkout: Checkout, config: Config, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the official segmentor.

    Args:
        checkout: the official repository.
        config: ours.
        changes: of the user, which come last.

    Raises:
        ValueError: the repository has no settings for the config's benchmark, or no such option.
    """
    settings = checkout.settings(config.dataset)
    options = checkout.options()
    unknown = set(changes) - set(settings) - options
    if unknown:
        raise ValueError(
            f"--official: {checkout.segmentor.name} has no option {', '.join(sorted(unknown))}."
            f" It has: {', '.join(sorted(options))}."
        )
    if {"clip_type", "vit_type", "model_type"} <= options and config.model.type in _MODEL_TYPES:
        settings["model_type"] = _MODEL_TYPES[config.model.type]
    return {**settings, **changes}
