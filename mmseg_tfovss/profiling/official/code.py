"""What every driver of official code gives: the folders it knows, its settings, and a way to label."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.official.hub import HUB_REMEDY, open_hub
from mmseg_tfovss.profiling.official.pairs import Labels
from mmseg_tfovss.profiling.official.repository import Repository

# Segmentors of ours, by name, and where their official code is.
REPOSITORIES = {
    "SCLIP": "https://github.com/wangf3014/SCLIP",
    "NACLIP": "https://github.com/sinahmr/NACLIP",
    "ClearCLIP": "https://github.com/mc-lan/ClearCLIP",
    "CLIP": "https://github.com/mc-lan/ClearCLIP",
    "MaskCLIP": "https://github.com/mc-lan/ClearCLIP",
    "ResCLIP": "https://github.com/yvhangyang/ResCLIP",
    "SCCLIP": "https://github.com/SuleBai/SC-CLIP",
    "ProxyCLIP": "https://github.com/mc-lan/ProxyCLIP",
    "CASS": "https://github.com/MICV-yonsei/CASS",
    "CLIPtrase": "https://github.com/leaves162/CLIPtrase",
    "GEM": "https://github.com/WalBouss/GEM",
    "CLIPSurgery": "https://github.com/xmed-lab/CLIP_Surgery",
    "LaVG": "https://github.com/dahyun-kang/lavg",
    "CorrCLIP": "https://github.com/zdk258/CorrCLIP, folder CorrCLIPv1",
    "Trident": "https://github.com/YuHengsss/Trident",
}


@dataclass(frozen=True)
class Shared:
    """Files that official code and ours both read.

    Attributes:
        clip: random CLIP in OpenAI's layout.
        image: what is labelled.
        dino: random DINO, or ``None``: the method has none.
        sam: random SAM, likewise.
        masks: folder with the image's regions, likewise.
        hub: a checkout of facebookresearch/dino, if one was named.
    """

    clip: Path
    image: Path
    dino: Path | None = None
    sam: Path | None = None
    masks: Path | None = None
    hub: Path | None = None


class OfficialCode(Repository, ABC):
    """A checkout of an official repository that can label an image.

    Attributes:
        methods: our names of the methods that it has; empty: not known.
        asks_hub: it asks torch.hub for a DINO by name.
    """

    methods: frozenset[str] = frozenset()
    asks_hub: bool = False

    @staticmethod
    @abstractmethod
    def is_one(folder: Path) -> bool:
        """Whether a folder looks like such a checkout."""

    @abstractmethod
    def choose(self, config: Config, changes: Mapping[str, Any]) -> None:
        """Choose its settings for a config of ours, before anything slow.

        Args:
            config: ours.
            changes: what the user changes of the official settings.

        Raises:
            ValueError: it has no settings for the config, or no such option.
        """

    @abstractmethod
    def labels(self, shared: Shared, ours: OpenVocabSegmentor, device: torch.device) -> Labels:
        """Image (H, W, 3) uint8 BGR -> labels (H, W), numbered as ours.

        Args:
            shared: what both sides read.
            ours: whose text features and classes are taken.
            device: where it runs.
        """

    def write_sam(self, path: Path) -> Path:
        """Write a random SAM that this code can read.

        Raises:
            ValueError: it has none.
        """
        raise ValueError(f"--against: {self.folder.name} has no SAM, so nothing can be shared with model.sam.")


def check_known(config: Config) -> None:
    """Refuse a method whose official code no driver can run.

    Raises:
        ValueError: it is one.
    """
    if config.model.type not in REPOSITORIES:
        raise ValueError(
            f"--against: {config.run_name} is a config of {config.model.type}, whose official code this command cannot"
            " run (docs/speed.md says why)."
        )


def check_method(code: OfficialCode, config: Config) -> None:
    """Refuse a repository of another method than the config's.

    Raises:
        ValueError: it is one.
    """
    method = config.model.type
    if code.methods and method not in code.methods:
        raise ValueError(
            f"--against: {code.folder.name} has the code of {', '.join(sorted(code.methods))}, but {config.run_name} is"
            f" a config of {method}: name a clone of {REPOSITORIES[method]}."
        )


def check_hub(code: OfficialCode, hub: Path | None) -> None:
    """Refuse a checkout of DINO that is missing, or that would not be read.

    Raises:
        ValueError: one of them.
        FileNotFoundError: it is no such checkout.
    """
    if code.asks_hub and hub is None:
        raise ValueError(f"--against {code.folder.name}: this code takes a DINO from torch.hub. {HUB_REMEDY}")
    if hub and not code.asks_hub:
        raise ValueError(f"--hub: the code of {code.folder.name} asks torch.hub for no network; leave it out.")
    if hub:
        open_hub(hub)
