"""GEM's official code: a library that gives a map for each word."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.official.code import OfficialCode, Shared
from mmseg_tfovss.profiling.official.pairs import Labels
from mmseg_tfovss.profiling.official.whole_image import as_picture, check_square, choose_classes

_OPTIONS = {"gem_depth": 7, "ss_attn_iter": 1, "ss_attn_temp": None}  # with the official defaults
_SCALE = 100  # of the cosines that its batched_forward gives


class GEMCheckout(OfficialCode):
    """A checkout of WalBouss/GEM."""

    methods = frozenset({"GEM"})

    @staticmethod
    def is_one(folder: Path) -> bool:
        """Whether a folder looks like it."""
        return (folder.expanduser() / "gem" / "gem_wrapper.py").is_file()

    def choose(self, config: Config, changes: Mapping[str, Any]) -> None:
        """Its options are those of our config, under the same names."""
        if changes:
            raise ValueError(
                "--official: GEM's settings are those of our config; change model.gem_depth, for example, by"
                " --cfg-options."
            )
        check_square(config, "GEM")
        model = config.model
        self._options = {name: usual if model.get(name) is None else model[name] for name, usual in _OPTIONS.items()}
        self._side, self._normalize = model.short_side, bool(model.get("normalize"))

    def labels(self, shared: Shared, ours: OpenVocabSegmentor, device: torch.device) -> Labels:
        """Its maps of our words, and the class of the largest one."""
        with self.running(device):
            library: Any = importlib.import_module("gem")
            see, model = library.get_gem_img_transform((self._side, self._side)), self._build(shared.clip, device)
        features = ours.decode_head.text_features.to(device)
        model.encode_text = lambda _: features[None]
        scale = ours.decode_head.logit_scale / (1 if self._normalize else _SCALE)
        words = list(ours.decode_head.vocabulary.queries)

        def label(image: np.ndarray) -> Tensor:
            with self.running(device):
                inputs = see(as_picture(image))[None].to(device)
                [maps] = model.batched_forward(inputs, [words], normalize=self._normalize)
            return choose_classes(maps, image.shape[:2], ours, scale)

        return label

    def _build(self, weights: Path, device: torch.device) -> Any:  # noqa: ANN401 - a module with methods of its own
        clip = open_clip.load_openai_model(str(weights), precision="fp32", device=device)
        depth, iterations, temperature = self._options.values()
        wrap = importlib.import_module("gem.gem_wrapper").GEMWrapper
        wrapper = wrap(clip, None, depth=depth, ss_attn_iter=iterations, ss_attn_temp=temperature)
        # It was written for an open_clip before 2.27, whose blocks have the tokens on the first axis.
        for module in wrapper.model.visual.transformer.modules():
            if isinstance(module, nn.MultiheadAttention):
                module.batch_first = False
        return wrapper.to(device).eval()
