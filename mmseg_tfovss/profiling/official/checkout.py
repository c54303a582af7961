"""The segmentor in a checkout of an official repository.

Most repositories of the field share one form, that of SCLIP: ``<method>_segmentor.py`` registers a class at
MMSegmentation, ``configs/cfg_<dataset>.py`` has its settings, and a changed CLIP lies beside. Nothing of it is part of
this project: what is run is what the user has checked out.
"""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS as OFFICIAL
from torch import nn

from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.official.code import OfficialCode, Shared
from mmseg_tfovss.profiling.official.hub import instead_of_downloads
from mmseg_tfovss.profiling.official.pairs import Labels, give_words, official_labels
from mmseg_tfovss.profiling.official.sam import write_random_sam
from mmseg_tfovss.profiling.official.segmentor import Segmentor, find_segmentor
from mmseg_tfovss.profiling.official.settings import check_same_work, choose_settings

# What these repositories call the benchmarks, where they do not call them as we do.
_DATASETS = {"cityscapes": "city_scapes", "pc459": "context459"}


class Checkout(OfficialCode):
    """An official repository in the form of SCLIP's.

    Args:
        folder: of the repository.

    Attributes:
        segmentor: what it registers.

    Raises:
        FileNotFoundError: no such folder, or none of its files registers a segmentor.
    """

    segmentor: Segmentor

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        found = find_segmentor(self.folder)
        if found is None:
            raise FileNotFoundError(
                f"--against {folder}: this is no repository whose code the command can run. Name the root of a clone of"
                " SCLIP, NACLIP or another one in the list of docs/speed.md."
            )
        self.segmentor, self.methods, self.asks_hub = found, found.methods, found.asks_hub
        if "sam_ckpt" in found.options:
            self.used = frozenset({"segment_anything"})

    @staticmethod
    def is_one(folder: Path) -> bool:
        """Whether a file at the top of a folder registers a segmentor."""
        return find_segmentor(folder.expanduser()) is not None

    def choose(self, config: Config, changes: Mapping[str, Any]) -> None:
        """Its own config for the benchmark, and what its README gives on the command line."""
        self._settings = choose_settings(self.settings(config.dataset), self.segmentor, config, changes)

    def settings(self, dataset: str) -> dict[str, Any]:
        """The official settings of the model for a benchmark, by our name of it.

        Raises:
            ValueError: the repository has no config for it.
        """
        path = self.folder / "configs" / f"cfg_{_DATASETS.get(dataset, dataset)}.py"
        if not path.is_file():
            known = sorted(file.stem.removeprefix("cfg_") for file in path.parent.glob("cfg_*.py"))
            raise ValueError(
                f"{self.folder.name} has no settings for {dataset!r}. It has: {', '.join(known) or 'none'}."
            )
        own = dict(Config.fromfile(path).model)
        # CASS reads its config once more.
        return {**own, "dataset": f"./configs/{path.name}"} if "dataset" in self.segmentor.options else own

    def labels(self, shared: Shared, ours: OpenVocabSegmentor, device: torch.device) -> Labels:
        """Its ``predict``, with its own resizing of the image."""
        check_same_work(self._settings, self.segmentor, ours)
        with instead_of_downloads(shared.dino, shared.hub):
            model = self.build(self._settings, shared, device)
        give_words(model, ours)
        return official_labels(model, self, ours.data_preprocessor.short_side, device, shared.image)

    def build(self, settings: Mapping[str, Any], shared: Shared, device: torch.device) -> nn.Module:
        """Build the segmentor.

        Args:
            settings: of :meth:`settings`, perhaps with changes.
            shared: the files that it reads in the place of real weights.
            device: where it runs.

        Raises:
            ValueError: it needs a package that is not installed, or cannot be built.
        """
        words = shared.clip.with_name("words.txt")
        words.write_text("one\ntwo\n")  # ours take their place
        files = {"clip_path": shared.clip, "sam_ckpt": shared.sam, "instance_mask_path": shared.masks}
        own = {name: str(path) for name, path in files.items() if name in self.segmentor.options and path}
        given = {**settings, **own, "name_path": str(words), "device": device}
        with self.running(device), _without_ours(), redirect_stdout(StringIO()):
            module = importlib.import_module(self.segmentor.file.stem)
            with _own_create_model(module, shared.clip, device), DefaultScope.overwrite_default_scope("mmseg"):
                model: Any = OFFICIAL.build(given)
            if hasattr(model, "maskpredroot"):  # LaVG asks its word list's path which benchmark it is for
                model.maskpredroot, model.remove_falsefg = f"{shared.masks}/", "voc21" in settings["name_path"]
            return model.to(device).eval()

    def write_sam(self, path: Path) -> Path:
        """Write a random SAM, of the size that the official settings name."""
        if "sam_ckpt" not in self.segmentor.options:
            return super().write_sam(path)
        return write_random_sam(self, self._settings.get("sam_model_type", "vit_b"), path)


@contextmanager
def _own_create_model(module: ModuleType, weights: Path, device: torch.device) -> Iterator[None]:
    """Where a repository names CLIP by a tag of open_clip, its own copy of open_clip reads our file instead."""
    if not hasattr(module, "create_model"):
        yield
        return
    library = importlib.import_module("open_clip")  # its copy; GEM in ClearCLIP's repository calls it by this name
    load = importlib.import_module("open_clip.openai").load_openai_model
    with ExitStack() as stack:
        for owner in (module, library):
            stack.enter_context(
                patch.object(owner, "create_model", lambda *_, **__: load(str(weights), "fp32", device))
            )
        yield


@contextmanager
def _without_ours() -> Iterator[None]:
    """While this lasts, MMSegmentation's registry lacks our methods, some of which have the name of an official one."""
    with patch.dict(OFFICIAL.module_dict):
        for name, kind in list(OFFICIAL.module_dict.items()):
            if kind.__module__.partition(".")[0] == __name__.partition(".")[0]:
                del OFFICIAL.module_dict[name]
        yield
