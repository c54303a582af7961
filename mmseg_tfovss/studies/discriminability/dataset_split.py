"""Another split of a config's dataset, e.g. the training images for what is tuned with labels."""

import copy
import re
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_tfovss.pocket import PocketAllDataset, PocketThingDataset
from mmseg_tfovss.pocket.training_split import ensure_training_scenes
from mmseg_tfovss.registry import DATASETS

EVALUATED = "val"
_WORD = re.compile(r"(?<![A-Za-z])(validation|val)(?![A-Za-z])")
_LONG = {"train": "training"}  # what stands beside "validation", as ADE20K writes it


def take_split(config: Config, split: str) -> Config:
    """The config with another split of its dataset.

    In every path of the dataset (``ann_file``, ``data_prefix``) the word ``val`` becomes the split's name, and
    ``validation`` becomes ``training`` for ``train`` where there is such a path. The pocket scenes of ``train`` are
    drawn on first use.

    Args:
        config: with a test dataset; it stays as it is.
        split: ``val``, which is the config's own whatever its paths are; ``train``; or another one that there is.

    Raises:
        ValueError: the dataset has no such split.
    """
    if split == EVALUATED:
        return config
    config = copy.deepcopy(config)
    settings, name = config.test_dataloader.dataset, str(config.dataset)
    kind = DATASETS.get(settings.type)
    if kind in (PocketAllDataset, PocketThingDataset):
        _take_pocket_split(settings, kind.annotations, name, split)
    else:
        _rename_paths(settings, name, split)
    config.prepared_by = config.get("prepared_by", name)
    config.dataset = f"{name}/{split}"
    return config


def _take_pocket_split(settings: Any, annotations: str, name: str, split: str) -> None:  # noqa: ANN401 - a ConfigDict
    if split != "train":
        raise ValueError(f"--split {split}: the splits of {name} are {EVALUATED} and train.")
    ensure_training_scenes(Path(settings.get("data_root", "data/pocket")))
    settings.data_prefix = {"img_path": "images/train", "seg_map_path": f"{annotations}/train"}


def _rename_paths(settings: Any, name: str, split: str) -> None:  # noqa: ANN401 - a ConfigDict
    root = Path(settings.get("data_root") or "")
    paths = {key: path for key, path in (settings.get("data_prefix") or {}).items() if path}
    listed = {"ann_file": settings.ann_file} if settings.get("ann_file") else {}
    if not any(_WORD.search(str(path)) for path in (*paths.values(), *listed.values())):
        raise ValueError(
            f"--split {split}: none of the paths of {name} says which split it is; set"
            " test_dataloader.dataset.data_prefix (and ann_file) to that split with --cfg-options instead."
        )
    renamed = {key: _rename(root, str(path), split) for key, path in (paths | listed).items()}
    absent = [str(root / path) for path in renamed.values() if not (root / path).exists()]
    if absent:
        raise ValueError(f"--split {split}: {name} has no such split here: {' and '.join(absent)} does not exist.")
    if listed:
        settings.ann_file = renamed.pop("ann_file")
    settings.data_prefix = renamed


def _rename(root: Path, path: str, split: str) -> str:
    """A path with the split's name in it; which spelling is used depends on what exists."""
    short = _WORD.sub(split, path)
    spelled = _WORD.sub(lambda found: _LONG.get(split, split) if found[0] == "validation" else split, path)
    return short if (root / short).exists() and not (root / spelled).exists() else spelled
