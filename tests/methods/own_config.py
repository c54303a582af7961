"""Methods as a config of theirs sets them, on the mini CLIP: whoever adds a method adds no line to the tests.

A companion whose weights do not come with this package is replaced by a tiny random network of its type, a ranking of
heads, which nobody has made for the mini CLIP, by no heads at all, and recorded masks by none. Masks are cut from
smaller images.
"""

import inspect
import re
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path

import pytest
import torch
import transformers

from mmseg_tfovss.config import load_config
from mmseg_tfovss.encoders.clip import CLIPImageEncoder
from mmseg_tfovss.encoders.dino import FrozenViT
from mmseg_tfovss.encoders.sam import SAM
from mmseg_tfovss.encoders.stable_diffusion import StableDiffusion
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.registry import MODELS
from tests.encoders.test_sam import write_tiny_sam
from tests.fixtures import READ_ONCE

CONFIGS = Path(__file__).parents[2] / "configs"
SLIDE, WHOLE = {"mode": "slide", "crop_size": 32, "stride": 16}, {"mode": "whole"}
_TESTS_OWN = ("backbone", "decode_head", "test_cfg", "short_side", "centre_square", "stretch_to_square")
# By an option of a method: what nobody has made for the mini CLIP, and what takes long at its usual size.
_ADAPTED = {
    "ranking": {"ranking": None, "k": 0},
    "masks": {"masks": None},
    "cut_size": {"cut_size": 64, "crf_steps": 2},
}
_VIT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}


def registered_methods():
    """Names of all methods of the package."""
    return sorted(
        name
        for name, kind in MODELS.module_dict.items()
        if inspect.isclass(kind)
        and issubclass(kind, OpenVocabSegmentor)
        and kind.__module__.startswith("mmseg_tfovss.methods.")
    )


@cache
def own_settings(name):
    """Type and options of a method in one of its configs: the plainest on pocket, or the plainest of all.

    Raises:
        LookupError: no config has the method.
    """
    found = [model for model in _likely_models() if model["type"] == name]
    # A variant of a method may lie among the configs of another one.
    found = found or [model for model in _models(CONFIGS.glob("[!_]*/**/*.py")) if model["type"] == name]
    if not found:
        raise LookupError(f"No config below {CONFIGS} has model.type={name!r}: every method needs one.")
    return {key: value for key, value in min(found, key=len).items() if key not in _TESTS_OWN}


@cache
def _likely_models():
    """Those on pocket of each folder, or all of a folder that has none."""
    folders = [folder for folder in sorted(CONFIGS.iterdir()) if folder.name != "_base_"]
    return [
        model
        for folder in folders
        for model in _models(list(folder.glob("*_vit-pocket*.py")) or list(folder.glob("*.py")))
    ]


def _models(paths):
    """The settings ``model`` of configs, those with short names first."""
    return [load_config(path).model.to_dict() for path in sorted(paths, key=lambda path: (len(path.stem), path.stem))]


class Builder:
    """Builds methods: ``build("SCLIP", test_cfg={...}, window_batch=1)``.

    Args:
        build_method: of tests/fixtures.py.
        mini_clip: file with CLIP's weights.
        folder: for networks.
    """

    def __init__(self, build_method, mini_clip, folder):
        self.build_method, self.mini_clip, self.folder = build_method, mini_clip, folder

    def __call__(self, name, *, test_cfg=None, **options):
        """A method with its config's options, and others that come before these.

        Without ``test_cfg`` in sliding windows, or on whole images if it takes nothing else; a test of windows is
        skipped then.
        """
        settings = self.adapted(own_settings(name))
        return self._build(settings.pop("type"), test_cfg, {**settings, **options})

    def around(self, kind, name, *, depth=1, test_cfg=None):
        """A class around a method with its config's options, or around itself around such a method, and so on."""
        base = self.adapted(own_settings(name))
        for _ in range(depth - 1):
            base = {"type": kind, "base": base}
        return self._build(kind, test_cfg, {"base": base})

    def _build(self, kind, test_cfg, options):
        if test_cfg is not None and test_cfg["mode"] == "whole":
            return self.build_method(kind, test_cfg=test_cfg, **options)
        try:
            return self.build_method(kind, test_cfg=test_cfg or SLIDE, **options)
        except ValueError as error:
            if not re.search(r"model\.test_cfg.*whole", str(error)):
                raise
            refusal = str(error)
        model = self.build_method(kind, test_cfg=WHOLE, **options)
        if test_cfg is not None:
            pytest.skip(refusal)
        return model

    def adapted(self, settings):
        """Settings, at any depth, with networks that are there, without a ranking, and for small images."""
        settings = {
            key: self.adapted(value) if isinstance(value, Mapping) else value for key, value in settings.items()
        }
        kind = MODELS.get(settings["type"]) if isinstance(settings.get("type"), str) else None
        if not inspect.isclass(kind):
            return settings
        if not issubclass(kind, OpenVocabSegmentor):
            return {**settings, **self.network(kind, settings)}
        named = settings.keys() | inspect.signature(kind.__init__).parameters.keys()
        return settings | {key: value for name in _ADAPTED.keys() & named for key, value in _ADAPTED[name].items()}

    def network(self, kind, settings):
        """What settings of a class of encoders must change where its weights do not come with this package."""
        if settings.get("pretrained") == "pocket":
            return {}
        if issubclass(kind, StableDiffusion):
            return {"pretrained": "pocket", "blocks": ["up_blocks.2", "up_blocks.3"]}
        if issubclass(kind, CLIPImageEncoder):
            return {"arch": "auto", "pretrained": str(self.mini_clip)}
        return {"pretrained": str(self.tiny(kind))} if issubclass(kind, SAM | FrozenViT) else {}

    def tiny(self, kind):
        """Folder with a tiny random network of a class of encoders."""
        folder = self.folder / kind.__name__
        if not folder.is_dir():
            (write_tiny_sam if issubclass(kind, SAM) else partial(_write_tiny_vit, kind.network))(folder)
            READ_ONCE.add(str(folder))
        return folder


def _write_tiny_vit(network, folder):
    """Save a network of transformers, with weights that tell patches apart."""
    transformers.utils.logging.disable_progress_bar()
    kind = getattr(transformers, network.model_class)
    model = kind(kind.config_class(**_VIT), **network.options)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=draw))
    model.save_pretrained(folder)
