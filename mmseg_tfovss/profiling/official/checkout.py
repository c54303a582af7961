"""The segmentor in a checkout of an official repository.

Most repositories of the field share one form, that of SCLIP: ``<method>_segmentor.py`` registers a class at
MMSegmentation, ``configs/cfg_<dataset>.py`` has its settings, and a changed CLIP lies beside. Nothing of it is part of
this project: what is run is what the user has checked out.
"""

import ast
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS as OFFICIAL
from torch import nn

from mmseg_tfovss.profiling.official.machine import needs_packages, on_device
from mmseg_tfovss.profiling.official.repository import Repository

_REGISTERED = "@MODELS.register_module"
# What these repositories call the benchmarks, where they do not call them as we do.
_DATASETS = {"cityscapes": "city_scapes", "pc459": "context459"}


class Checkout(Repository):
    """An official repository in the form of SCLIP's.

    Args:
        folder: of the repository.

    Attributes:
        folder: its absolute path.
        segmentor: the file, at the top of it, that registers the method.

    Raises:
        FileNotFoundError: no such folder, or none of its files registers a segmentor.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        found = [path for path in sorted(self.folder.glob("*.py")) if _REGISTERED in _text(path)]
        if not found:
            raise FileNotFoundError(
                f"--against {folder}: no file at its top registers a segmentor ({_REGISTERED}). Name the root of a"
                " repository in the form of SCLIP's, such as NACLIP's, ClearCLIP's, ResCLIP's or SC-CLIP's."
            )
        self.segmentor = found[0]

    def settings(self, dataset: str) -> dict[str, Any]:
        """The official settings of the model for a benchmark, by our name of it.

        Raises:
            ValueError: the repository has no config for it.
        """
        path = self.folder / "configs" / f"cfg_{_DATASETS.get(dataset, dataset)}.py"
        if not path.is_file():
            known = sorted(file.stem.removeprefix("cfg_") for file in path.parent.glob("cfg_*.py"))
            raise ValueError(f"{self.folder.name} has no settings for {dataset!r}. It has: {', '.join(known)}.")
        return {**Config.fromfile(path).model, **self._command_line(path.name)}

    def _command_line(self, config: str) -> dict[str, Any]:
        """What the repository's README gives on the command line: CASS is evaluated with ``--pamr off``."""
        if {"h_threshold", "dataset"} <= self.options():
            return {"dataset": f"./configs/{config}", "pamr_steps": 0}
        return {}

    def options(self) -> set[str]:
        """Names of the segmentor's options, read from its source."""
        for node in ast.walk(ast.parse(_text(self.segmentor))):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                return {argument.arg for argument in node.args.args[1:]}
        return set()

    def build(self, settings: Mapping[str, Any], weights: Path, words: Path, device: torch.device) -> nn.Module:
        """Build the segmentor.

        Args:
            settings: of :meth:`settings`, perhaps with changes.
            weights: CLIP in OpenAI's layout.
            words: a class file in the repository's form.
            device: where it runs.

        Raises:
            ValueError: a package that the repository needs is not installed.
        """
        own = {"name_path": str(words), "device": device}
        if "clip_path" in settings:
            own["clip_path"] = str(weights)
        with self.modules(), on_device(device), _without_ours(), needs_packages(self.folder.name):
            module = importlib.import_module(self.segmentor.stem)
            with _own_create_model(module, weights, device), DefaultScope.overwrite_default_scope("mmseg"):
                model: nn.Module = OFFICIAL.build({**settings, **own})
            return model.to(device).eval()


@contextmanager
def _own_create_model(module: ModuleType, weights: Path, device: torch.device) -> Iterator[None]:
    """Where a repository names CLIP by a tag of open_clip, its own copy of open_clip reads our file instead."""
    if not hasattr(module, "create_model"):
        yield
        return
    load = importlib.import_module("open_clip.openai").load_openai_model
    with patch.object(module, "create_model", lambda *_, **__: load(str(weights), "fp32", device)):
        yield


@contextmanager
def _without_ours() -> Iterator[None]:
    """While this lasts, MMSegmentation's registry lacks our methods, some of which have the name of an official one."""
    with patch.dict(OFFICIAL.module_dict):
        for name, kind in list(OFFICIAL.module_dict.items()):
            if kind.__module__.partition(".")[0] == __name__.partition(".")[0]:
                del OFFICIAL.module_dict[name]
        yield


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
