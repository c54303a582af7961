"""Whether loading hides behind computing: how much of a run is spent waiting for images."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text
from torch.utils.data import DataLoader, Dataset

from mmseg_tfovss.datasets.files import read_image
from mmseg_tfovss.engine.fit_ahead import fit_while_loading
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.plain import printable

_LOADS = 7


@dataclass(frozen=True)
class LoadingTime:
    """Cost of loading, in a run over images of one size.

    Attributes:
        images: that were timed.
        batch_size: images in a batch.
        workers: processes that load.
        loading: median seconds of one process for one image: reading, decoding, resizing.
        total: seconds of the run.
        waited: of these, seconds in which there was no image to label.
    """

    images: int
    batch_size: int
    workers: int
    loading: float
    total: float
    waited: float


class SameImage(Dataset[Any]):
    """One image and its annotation, again and again, through a config's pipeline.

    Args:
        image: file.
        labels: file of its annotation.
        pipeline: settings of the transforms.
        count: items.
    """

    def __init__(self, image: Path, labels: Path, pipeline: Sequence[Any], count: int) -> None:
        with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
            self._load = Compose([dict(step) for step in pipeline])
        self._facts = {"img_path": str(image), "seg_map_path": str(labels)}
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:  # noqa: ANN401 - what the pipeline makes
        return self._load({**self._facts, "reduce_zero_label": False, "label_map": None, "seg_fields": []})


def time_loading(model: OpenVocabSegmentor, config: Config, image: Path, count: int, scratch: Path) -> LoadingTime:
    """Label an image again and again, loaded as a test of the config loads its images.

    The first batch is not timed: processes start then, and text features are computed.

    Args:
        model: of the config.
        config: with ``test_dataloader``, whose batch size and number of processes are taken.
        image: file.
        count: images that are timed, >= 1; the last batch may have fewer than the others.
        scratch: folder for an annotation.
    """
    settings = config.test_dataloader
    size, workers = int(settings.get("batch_size", 1)), int(settings.get("num_workers", 0))
    labels = scratch / "labels.png"
    cv2.imwrite(str(labels), np.zeros(read_image(image).shape[:2], np.uint8))
    batches = -(-count // size)
    images = SameImage(image, labels, settings.dataset.pipeline, size + count)
    pinned = torch.cuda.is_available()
    loader = DataLoader(images, size, num_workers=workers, collate_fn=pseudo_collate, pin_memory=pinned)
    fit_while_loading(loader, model)
    loading = statistics.median(_seconds(lambda: loader.collate_fn([images[0]])) for _ in range(_LOADS))
    total, waited = _run(model, loader, batches)
    return LoadingTime(count, size, workers, loading, total, waited)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _run(model: OpenVocabSegmentor, loader: DataLoader[Any], batches: int) -> tuple[float, float]:
    """Seconds of all batches but the first, and those of waiting for them."""
    found = iter(loader)
    model.test_step(next(found))
    begin, waited = time.perf_counter(), 0.0
    for _ in track(range(batches), "loading and labelling", console=Console(stderr=True), transient=True):
        start = time.perf_counter()
        batch = next(found)
        waited += time.perf_counter() - start
        model.test_step(batch)  # it reads its checks last, so that the labels are there when it returns
    return time.perf_counter() - begin, waited


def loading_table(name: str, found: LoadingTime) -> Table:
    """For the terminal."""
    table = Table(title=Text(printable(f"{name}: loading beside labelling")), show_header=False)
    cells = {
        "images, in a batch": f"{found.images}, {found.batch_size}",
        "processes that load": str(found.workers),
        "load an image, one process (s)": f"{found.loading:.4f}",
        "loaded at most (images / s)": f"{max(found.workers, 1) / found.loading:.1f}",
        "an image of the run (s)": f"{found.total / found.images:.4f}",
        "waiting for images": f"{100 * found.waited / found.total:.1f} % of the run",
    }
    for label, value in cells.items():
        table.add_row(label, value)
    return table
