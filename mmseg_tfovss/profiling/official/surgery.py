"""CLIP Surgery's official code: a changed CLIP, and a notebook that shows how maps are made with it."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.official.code import OfficialCode, Shared
from mmseg_tfovss.profiling.official.pairs import Labels
from mmseg_tfovss.profiling.official.whole_image import as_picture, check_square, choose_classes

_NAME = "CS-ViT"  # by which it builds the changed CLIP, not CLIP itself


class SurgeryCheckout(OfficialCode):
    """A checkout of xmed-lab/CLIP_Surgery."""

    methods = frozenset({"CLIPSurgery"})

    @staticmethod
    def is_one(folder: Path) -> bool:
        """Whether a folder looks like it."""
        return (folder.expanduser() / "clip" / "clip_surgery_model.py").is_file()

    def choose(self, config: Config, changes: Mapping[str, Any]) -> None:
        """It has no settings but the size of the image."""
        if changes:
            raise ValueError("--official: CLIP Surgery's code has no settings.")
        check_square(config, "CLIP Surgery")
        for name, only in (("dual_blocks", 6), ("feature_surgery", True), ("normalize", False)):
            if config.model.get(name) not in (None, only):
                raise ValueError(f"--against: CLIP Surgery's code has model.{name}={only} only; leave it out.")
        self._side = config.model.short_side

    def labels(self, shared: Shared, ours: OpenVocabSegmentor, device: torch.device) -> Labels:
        """The notebook's similarities of our words, and the class of the largest one."""
        with self.running(device):
            library: Any = importlib.import_module("clip")
            build = importlib.import_module("clip.build_model").build_model
            see = importlib.import_module("clip.clip")._transform(self._side)
            model = build(_NAME, torch.load(shared.clip, weights_only=True)).to(device)
        words = ours.decode_head.text_features.to(device)

        def label(image: np.ndarray) -> Tensor:
            with self.running(device):
                tokens = model.encode_image(see(as_picture(image))[None].to(device))
                tokens = tokens / tokens.norm(dim=-1, keepdim=True)
                patches = library.clip_feature_surgery(tokens, words)[0, 1:]  # (N, Q), without the class token
            side = int(len(patches) ** 0.5)
            maps = patches.T.reshape(-1, side, side)
            return choose_classes(maps, image.shape[:2], ours, ours.decode_head.logit_scale)

        return label
