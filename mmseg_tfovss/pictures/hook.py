"""Pictures of some images of a test run."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmseg_tfovss.cli import sentence
from mmseg_tfovss.engine.batches import FixedBatches
from mmseg_tfovss.engine.identity import unwrapped
from mmseg_tfovss.evaluation.result import OVERLAYS, OVERLAYS_NAME
from mmseg_tfovss.pictures.overlay import dataset_colours, draw_overlay

_logger = logging.getLogger(__name__)


class OverlayHook(Hook):
    """Draw overlays of some images, evenly spread over the dataset, into the run's folder.

    They are drawn when the run ends, or is interrupted: the time that a result records is that of testing.

    Args:
        count: images.
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"--overlays must be at least 1, but got {count}.")
        self.count = count
        self._wanted: set[str] = set()
        self._kept: list[tuple[str, np.ndarray, Tensor]] = []  # name, image (H, W, 3) uint8 RGB, labels (H, W)
        self._folder = ""  # of the dataset's images
        self._runner: Runner | None = None

    def before_test(self, runner: Runner) -> None:
        """Choose the images; pictures that an unfinished run has left are of no use unless it is resumed."""
        self._runner, dataset = runner, runner.test_dataloader.dataset
        chosen = np.linspace(0, len(dataset) - 1, min(self.count, len(dataset))).round().astype(int)
        self._folder = (getattr(dataset, "data_prefix", None) or {}).get("img_path") or ""
        paths = {int(index): str(dataset.get_data_info(int(index))["img_path"]) for index in chosen}
        self._wanted = set(paths.values())
        if not is_main_process():
            return
        if getattr(runner.test_loop, "earlier_batches", 0):
            batches: FixedBatches = runner.test_loop.batches
            undone = set(batches.undone)
            self._tell_missing([path for index, path in paths.items() if index // batches.batch_size not in undone])
            return
        for path in (Path(runner.work_dir) / OVERLAYS_NAME).glob(OVERLAYS):
            path.unlink()

    def _tell_missing(self, labelled: Sequence[str]) -> None:
        """Say which of the images that an earlier session has labelled have no picture: its labels are gone."""
        names = [self._name(path) for path in labelled if not self._picture(self._name(path)).exists()]
        if names:
            _logger.warning(
                "warning: no overlays of %s: they were labelled before the run was interrupted. To draw them too, run"
                " without --resume.",
                ", ".join(names),
            )

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | None = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Keep what is to be drawn."""
        prepare = unwrapped(runner.model).data_preprocessor
        for image, sample in zip((data_batch or {}).get("inputs", ()), outputs or (), strict=True):
            if sample.img_path in self._wanted:
                labels = sample.pred_sem_seg.data[0].to("cpu", torch.int32)
                labelled = prepare.labelled(np.ascontiguousarray(image.cpu().permute(1, 2, 0)))
                self._kept.append((self._name(sample.img_path), labelled[..., ::-1], labels))

    def close(self) -> None:
        """Draw; called once, whatever has ended the run."""
        if self._runner is None:
            return
        folder = Path(self._runner.work_dir) / OVERLAYS_NAME
        names = self._runner.test_dataloader.dataset.metainfo["classes"]
        colours = dataset_colours(self._runner.cfg.test_dataloader.dataset, names)
        try:
            for name, image, labels in self._kept:
                folder.mkdir(exist_ok=True)
                picture = draw_overlay(image, labels.numpy(), names, colours)
                picture.save(self._picture(name))
        except OSError as error:  # the numbers are worth more
            _logger.warning("warning: the overlays could not be written: %s", sentence(error))

    def _picture(self, name: str) -> Path:
        assert self._runner is not None
        return Path(self._runner.work_dir) / OVERLAYS_NAME / f"{name}{OVERLAYS.removeprefix('*')}"

    def _name(self, path: str) -> str:
        """Of an image below the dataset's folder: its path there, for files of several folders may have one name."""
        inside = Path(path).is_relative_to(self._folder) if self._folder else False
        relative = Path(path).relative_to(self._folder) if inside else Path(Path(path).name)
        return "_".join(relative.with_suffix("").parts)
