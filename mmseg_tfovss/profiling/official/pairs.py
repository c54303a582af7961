"""Pairs of timings: the official code, then ours, on the same image, again and again in one process.

A shared machine is slower at one moment than at another; within a pair, both sides have the same moment.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmseg.structures import SegDataSample
from rich.console import Console
from rich.progress import track
from torch import Tensor

from mmseg_tfovss.engine.single import read_image
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.batch import batch_of
from mmseg_tfovss.profiling.official.repository import Repository

_LONG_SIDE = 2048  # as in the pipelines of all of these repositories
Labels = Callable[[np.ndarray], Tensor]


@dataclass(frozen=True)
class Pairs:
    """Seconds per image of two ways to label it, pair by pair.

    Attributes:
        official: seconds of the official code.
        ours: seconds of ours.
        agreement: share of the pixels with the same label.
        classes: how many classes ours sees.
    """

    official: tuple[float, ...]
    ours: tuple[float, ...]
    agreement: float
    classes: int

    @property
    def ratios(self) -> tuple[float, ...]:
        """How many times as long the official code takes, in each pair."""
        return tuple(theirs / own for theirs, own in zip(self.official, self.ours, strict=True))

    @property
    def ratio(self) -> float:
        """Their median."""
        return statistics.median(self.ratios)


def official_labels(
    model: Any,  # noqa: ANN401 - its methods are its own
    checkout: Repository,
    short_side: int,
    device: torch.device,
    path: Path,
) -> Labels:
    """Image (H, W, 3) uint8 BGR -> labels (H, W) of an official segmentor, its own resizing of the image included."""

    def label(image: np.ndarray) -> Tensor:
        resized = mmcv.imrescale(image, (_LONG_SIDE, short_side))
        inputs = torch.from_numpy(np.ascontiguousarray(resized)).permute(2, 0, 1)
        meta = {"ori_shape": image.shape[:2], "img_shape": resized.shape[:2], "pad_shape": resized.shape[:2]}
        data = {"inputs": [inputs], "data_samples": [SegDataSample(metainfo={**meta, "img_path": str(path)})]}
        with checkout.running(device):
            [sample] = model.test_step(data)
        return sample.pred_sem_seg.data.squeeze().cpu()

    return label


def our_labels(model: OpenVocabSegmentor, path: Path) -> Labels:
    """The same of a method here."""

    def label(image: np.ndarray) -> Tensor:
        [answer] = model.test_step(batch_of([image], path))
        return answer.pred_sem_seg.data.squeeze().cpu()

    return label


def give_words(model: Any, ours: OpenVocabSegmentor) -> None:  # noqa: ANN401 - its attributes are its own
    """Let an official segmentor have our text features, in the place of its own."""
    head = ours.decode_head
    features = head.text_features.to(model.query_features)
    for name in ("query_features", "cls_query_features"):
        if hasattr(model, name):
            setattr(model, name, features)
    model.query_idx = head.query_class.clone()
    model.num_queries, model.num_classes = len(head.query_class), head.num_classes
    if hasattr(model, "bgidx"):  # the first word of class 1, in LaVG
        model.bgidx = int((head.query_class == 1).nonzero()[0])
    if hasattr(model, "query_words"):
        model.query_words = list(head.vocabulary.queries)
    if hasattr(model, "cluster_info"):  # CASS groups its words by their features
        model.cluster_info = model.hierarchical_clustering(features)


@torch.inference_mode()
def time_pairs(
    official: Labels, ways: Mapping[str, Labels], path: Path, repeats: int
) -> tuple[dict[str, Pairs], BaseException | None]:
    """Time the official code and each of our ways in turn; the first, unmeasured round warms up.

    Args:
        official: of :func:`official_labels`.
        ways: ours, by precision.
        path: the image.
        repeats: measured rounds, >= 1.

    Returns:
        The pairs of all rounds that were finished, and what has stopped the others: Ctrl-C or an error. What comes
        before the first pair is finished is raised.
    """
    image = read_image(path)
    rounds: list[dict[str, float]] = []
    labels: dict[str, Tensor] = {}
    stopped: BaseException | None = None
    try:
        for _ in track(range(repeats + 1), "pairs", console=Console(stderr=True), transient=True):
            rounds.append(_round({"official": official, **ways}, image, labels))  # noqa: PERF401 - they stay after an error
    except (KeyboardInterrupt, Exception) as error:
        if len(rounds) < 2:  # the first one warms up
            raise
        stopped = error
    column = {name: tuple(laps[name] for laps in rounds[1:]) for name in labels}
    found = {
        name: Pairs(
            official=column["official"],
            ours=column[name],
            agreement=(labels["official"] == labels[name]).double().mean().item(),
            classes=len(labels[name].unique()),
        )
        for name in ways
    }
    return found, stopped


def _round(ways: Mapping[str, Labels], image: np.ndarray, labels: dict[str, Tensor]) -> dict[str, float]:
    """Seconds of each way, one after the other; their labels are put down."""
    seconds = {}
    for name, way in ways.items():
        start = time.perf_counter()
        labels[name] = way(image)
        seconds[name] = time.perf_counter() - start
    return seconds
