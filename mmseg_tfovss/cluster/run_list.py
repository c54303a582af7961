"""What a list of configs comes to: where each run goes, how heavy it is, and which have finished."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_tfovss.cli import parse_options, sentence
from mmseg_tfovss.config import load_config
from mmseg_tfovss.datasets.facts import FACTS
from mmseg_tfovss.engine.finished import check_settings_of, finished_result
from mmseg_tfovss.engine.preflight import check_config
from mmseg_tfovss.ops.windows import window_starts

_ASPECT = 4 / 3  # of photographs; Cityscapes' are wider, below
_WIDE = {"cityscapes": 2.0, "cityscapes27": 2.0}
_OWN = {"backbone", "decode_head", "base", "data_preprocessor", "test_cfg"}  # parts that are no further network
_LARGE, _NETWORK = 4, 10  # times a ViT-B/16: a ViT-L/14; SD2, SAM and the like, on larger images than CLIP's


@dataclass(frozen=True)
class PlannedRun:
    """One config to evaluate.

    Attributes:
        config: the file.
        name: its ``run_name``.
        folder: where its result and its log go.
        cost: pixels that go through a ViT-B/16, about; infinite for a dataset of unknown size.
    """

    config: Path
    name: str
    folder: Path
    cost: float


def plan_runs(
    paths: Sequence[Path], pairs: Sequence[str] = (), work_dirs: Path | None = None, *, restart_changed: bool = False
) -> tuple[list[PlannedRun], list[PlannedRun]]:
    """Read configs, and see which are still to do.

    Args:
        paths: the config files.
        pairs: options for all of them, ``KEY=VALUE``.
        work_dirs: the runs' folders are made in it; default: as tfovss test does.
        restart_changed: a finished run of other settings may be in a run's folder.

    Returns:
        The runs to do, the heaviest first (of equal ones the first named), and those that ``tfovss test --resume``
        would only show.

    Raises:
        ValueError: an unreadable config, one that cannot be tested, two for one folder, or a folder with a finished run
            of other settings.
        FileNotFoundError: no such config.
    """
    options = parse_options(list(pairs))
    unfinished: list[PlannedRun] = []
    finished: list[PlannedRun] = []
    owners: dict[Path, Path] = {}
    datasets: dict[str, str] = {}  # each is looked at once
    for path in paths:
        config = load_config(path, options)
        run = _plan(path, config, work_dirs)
        if run.folder in owners:
            raise ValueError(f"{owners[run.folder]} and {path} would both write to {run.folder}: name one of them.")
        owners[run.folder] = path
        check_settings_of(config, run.folder, restart_changed=restart_changed)
        (finished if finished_result(config, run.folder, datasets) else unfinished).append(run)
    return sorted(unfinished, key=lambda run: -run.cost), finished


def run_cost(config: Config) -> float:
    """Pixels that would go through a ViT-B/16 in the same time, very roughly; infinite if nobody knows."""
    large = "ViT-L" in str(config.model.backbone.get("arch"))
    others = sum(
        isinstance(part, Mapping) and "type" in part for name, part in config.model.items() if name not in _OWN
    )
    return run_pixels(config) * ((_LARGE if large else 1) + _NETWORK * others)


def run_pixels(config: Config) -> float:
    """Pixels that go through the network, about: images x windows x window size; infinite if nobody knows."""
    images = _count_images(config.dataset, _chosen(config.test_dataloader.dataset))
    short = config.model.short_side
    if not isinstance(short, int):
        return math.inf
    square = config.model.get("centre_square") or config.model.get("stretch_to_square")
    sides = short, short if square else round(short * _WIDE.get(config.dataset, _ASPECT))
    rule = config.model.test_cfg
    if rule.get("mode") != "slide":
        return images * math.prod(sides)
    crops, strides = _pair(rule.crop_size), _pair(rule.stride)
    windows = [len(window_starts(*axis)) for axis in zip(sides, crops, strides, strict=True)]
    return images * math.prod(windows) * math.prod(crops)


def _plan(path: Path, config: Config, work_dirs: Path | None) -> PlannedRun:
    try:
        check_config(config)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: {sentence(error)}") from error
    own = Path(config.work_dir or f"work_dirs/{config.run_name}")
    folder = work_dirs / config.run_name if work_dirs else own
    return PlannedRun(path, config.run_name, folder, run_cost(config))


def _chosen(dataset: Mapping[str, Any]) -> int | Sequence[int] | None:
    """Which images, or how many of them, a dataset's settings choose; None: all."""
    subset = dataset.get("subset")
    return subset if isinstance(subset, int) else dataset.get("indices")


def _count_images(dataset: str, indices: int | Sequence[int] | None) -> float:
    """Images of a set, or of the part of it that MMEngine's ``indices`` or a subset choose."""
    images = FACTS[dataset].images if dataset in FACTS else math.inf
    if isinstance(indices, int):
        return min(images, abs(indices))
    return images if indices is None else len(indices)


def _pair(value: Any) -> tuple[int, int]:  # noqa: ANN401 - of a config
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))
