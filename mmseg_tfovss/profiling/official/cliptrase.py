"""CLIPtrase's official code: functions in place of a segmentor, and a loop over a folder of images."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from PIL import Image
from torch import Tensor

from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.official.code import OfficialCode, Shared
from mmseg_tfovss.profiling.official.pairs import Labels

_FILE = "clip_self_correlation.py"
_DATASETS = {
    "voc20": "VOC20",
    "voc21": "VOC21",
    "context59": "PC59",
    "context60": "PC60",
    "pc459": "PC459",
    "ade20k": "ADE150",
    "ade847": "ADEfull",
    "coco_object": "COCO80_val",
    "coco_stuff164k": "COCO171_val",
}
_PICTURES, _TRUTH = "pictures", "truth"  # folders that its loader asks for; they are not made


class CLIPtraseCheckout(OfficialCode):
    """A checkout of leaves162/CLIPtrase."""

    methods = frozenset({"CLIPtrase"})

    @staticmethod
    def is_one(folder: Path) -> bool:
        """Whether a folder looks like it."""
        return (folder.expanduser() / _FILE).is_file()

    def choose(self, config: Config, changes: Mapping[str, Any]) -> None:
        """Its settings are those of our config."""
        if changes:
            raise ValueError(
                "--official: CLIPtrase's settings are those of our config; change model.eps, for example, by"
                " --cfg-options."
            )
        self._settings = self.settings(config)

    def settings(self, config: Config) -> dict[str, Any]:
        """Arguments of its ``self_clip`` for a config of ours.

        Raises:
            ValueError: it has no such benchmark, or the config is not of CLIPtrase on the centre square.
        """
        if config.dataset not in _DATASETS:
            raise ValueError(f"CLIPtrase has no settings for {config.dataset!r}. It has: {', '.join(_DATASETS)}.")
        model = config.model
        if model.type != "CLIPtrase" or not model.get("centre_square"):
            raise ValueError(
                f"--against: CLIPtrase's code labels the centre square, which {config.run_name} does not; take a config"
                " such as cliptrase_vit-b16_voc21, under its own protocol (protocol=paper)."
            )
        return {
            "dataset": _DATASETS[config.dataset],
            "image_size": model.short_side,
            "eps": model.eps,
            "min": model.min_samples,
        }

    def labels(self, shared: Shared, ours: OpenVocabSegmentor, device: torch.device) -> Labels:
        """Labels of the centre square."""
        with self.running(device):
            module: Any = importlib.import_module(Path(_FILE).stem)
            clip, _ = module.clip_utils.load(str(shared.clip), device=device)
        known = ours.decode_head.query_class.tolist()
        background = [number for number, label in enumerate(known) if label == 0] if _has_background(ours) else []
        words = [number for number in range(len(known)) if number not in background]
        names = torch.tensor([known[number] for number in words] + [0])  # one more than its words: the background
        found = _prepare(module, self._settings["dataset"], ours.decode_head.text_features, words, background, device)

        def label(image: np.ndarray) -> Tensor:
            module.Image = _loaded(image)
            with self.running(device):
                module.self_clip(clip.to(device), **self._settings)
            return names[torch.from_numpy(found.pop())]

        return label


def _has_background(ours: OpenVocabSegmentor) -> bool:
    return bool(ours.decode_head.vocabulary.background)


def _prepare(
    module: Any,  # noqa: ANN401 - its functions are replaced
    dataset: str,
    features: Tensor,
    words: list[int],
    background: list[int],
    device: torch.device,
) -> list[np.ndarray]:
    """Give its functions our text features and one image; return the list that its labels come in."""
    found: list[np.ndarray] = []
    given: dict[str, Any] = {"image_path": _PICTURES, "gt_path": _TRUTH, "labels": words, "background": background}
    module.dataset_info = {dataset: given}
    module.device = device
    module.get_text_features = lambda _, numbers: features[numbers].to(device)
    module.get_image_name_list = lambda *_: ["one.png"]
    module.scores = lambda _, labels, *__: found.extend(labels)
    module.tqdm = iter
    module.print = lambda *_: None
    return found


def _loaded(image: np.ndarray) -> SimpleNamespace:
    """``PIL.Image`` whose ``open`` gives this image, and labels of one class."""
    picture = Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    truth = Image.new("L", picture.size)
    return SimpleNamespace(open=lambda path: picture if path.startswith(_PICTURES) else truth)
