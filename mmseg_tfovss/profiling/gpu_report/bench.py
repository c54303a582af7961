"""Methods on random or bundled networks, and the images that they label."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from mmseg_tfovss.config import load_config
from mmseg_tfovss.encoders.packages import missing_packages
from mmseg_tfovss.engine.single import build_method, fit_image, read_image
from mmseg_tfovss.extras import import_extra
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.batch import batch_of
from mmseg_tfovss.profiling.gpu_report.entries import LeftOutError
from mmseg_tfovss.profiling.random_weights.networks import take_random_weights
from mmseg_tfovss.profiling.random_weights.text import words_from_patches

METHODS = {
    "SCLIP": "sclip",
    "NACLIP": "naclip",
    "CLIPtrase": "cliptrase",
    "LHT-CLIP": "lht_clip",
    "DSLO": "dslo",
    "ProxyCLIP": "proxyclip",
}
"""As the report calls them -> how their configs' names begin."""

LEAVES = {"ViT-B-16": "{}_vit-b16_voc21", "pocket": "{}_vit-pocket_pocket_all"}
"""Networks -> names of the configs with them."""

_PRECISIONS = {"cuda": ("fp32", "fp16", "bf16")}
_WITHOUT_FP16 = ("fp32", "bf16")  # products in float16 take a CPU far longer than those in float32
_SHIFT = 48  # pixels between the images of a batch


@dataclass
class Bench:
    """What all steps measure with.

    Attributes:
        network: ``ViT-B-16`` (random weights) or ``pocket`` (the bundled, trained networks).
        device: that the report is about.
        image: the file that is labelled.
        scratch: folder for the random weights.
        options: of all configs, by dotted names.
    """

    network: str
    device: torch.device
    image: Path
    scratch: Path
    options: dict[str, Any] = field(default_factory=dict)
    _words: dict[str, Tensor] = field(default_factory=dict)

    @property
    def precisions(self) -> tuple[str, ...]:
        """That are compared on the device, float32 first."""
        return _PRECISIONS.get(self.device.type, _WITHOUT_FP16)

    @property
    def half(self) -> str:
        """The precision in which speed is measured."""
        return self.precisions[1]

    def config(self, method: str, precision: str, **options: Any) -> Config:  # noqa: ANN401
        """A method's own config, with networks that need no download; ``precision`` is that of all of them.

        Raises:
            LeftOutError: a package that the method needs is not installed.
        """
        config = load_config(LEAVES[self.network].format(METHODS[method]), {**self.options, **options})
        _check_packages(method, config)
        config.model.precision = precision
        if self.network != "pocket":
            take_random_weights(config, self.scratch, self.image)
        for companion in ("graph", "vfm"):
            if config.model.get(companion):
                config.model[companion].precision = precision
        return config

    def build(
        self,
        method: str,
        precision: str,
        device: torch.device | None = None,
        **options: Any,  # noqa: ANN401
    ) -> OpenVocabSegmentor:
        """A method with the same weights and words every time, ready to label.

        Args:
            method: one of :data:`METHODS`.
            precision: of all networks.
            device: default: the report's.
            **options: of the config, by dotted names.
        """
        model = build_method(self.config(method, precision, **options), device or self.device).eval()
        if self.network == "pocket":
            model.prepare()
            return model
        if method not in self._words:
            self._words[method] = words_from_patches(model, fit_image(model, read_image(self.image), "")[1]).cpu()
        head = model.decode_head
        head.text_features = self._words[method].to(head.query_class.device)
        return model

    def batch(self, count: int, size: tuple[int, int] | None = None) -> dict[str, Any]:
        """Decoded images, as a data loader gives them; each is the first, shifted.

        Args:
            count: of images.
            size: height and width that the file is resized to first; ``None``: its own.
        """
        pixels = read_image(self.image)
        if size:
            pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
        return batch_of([np.roll(pixels, _SHIFT * number, axis=1) for number in range(count)], self.image)


def _check_packages(method: str, config: Config) -> None:
    for package in sorted(missing_packages(config.model)):
        try:
            import_extra(package, method)
        except ValueError as error:
            raise LeftOutError(str(error)) from error
