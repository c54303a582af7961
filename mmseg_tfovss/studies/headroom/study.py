"""Where readings of DSLO's equations can be told apart: planted logits and graphs on the pocket benchmark's scenes.

The pocket benchmark itself leaves little to gain: its CLIP errs on whole objects, so that even a perfect knowledge of
which patches belong together hardly helps. Here logits are wrong patch by patch instead, and graphs know the classes as
well as one asks for, see :mod:`.planted`; the bundled Stable Diffusion's attention on the same scenes stands beside
them. All readings label the same masses.

Logits and graphs are synthetic: the table ranks readings in this setting, and says nothing about real networks.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmseg_tfovss.checks import check_option
from mmseg_tfovss.encoders.stable_diffusion import StableDiffusion
from mmseg_tfovss.engine.provenance import git_commit, package_versions
from mmseg_tfovss.ops.mass import MassSettings, confidences
from mmseg_tfovss.pocket.classes import CLASSES
from mmseg_tfovss.pocket.scenes import NUM_VALIDATION, Scene, draw_validation
from mmseg_tfovss.studies.discriminability.state import count_down
from mmseg_tfovss.studies.headroom.cells import CELLS, NO_UPSAMPLING, SIDE, Cells, find_truth, make_cells, pixels
from mmseg_tfovss.studies.headroom.planted import (
    PLANTABLE,
    PlantedAttention,
    PlantedLogits,
    graph_auc,
    plant_graph,
    plant_logits,
)
from mmseg_tfovss.studies.headroom.readings import LOGITS, Reading, all_readings, solve_readings
from mmseg_tfovss.studies.headroom.report import NAMES, write_report
from mmseg_tfovss.studies.headroom.tally import NO_GRAPH, Tally
from mmseg_tfovss.studies.true_regions import label_true_regions
from mmseg_tfovss.whole_file import check_target

SCHEMA_VERSION = 1
DIFFUSION = "pocket diffusion"
_DIFFUSION_BLOCKS = ("up_blocks.2", "up_blocks.3")  # those of the pocket configs
_DIFFUSION_SIDE = 128  # pixels at which the scenes look like those that it was trained on
_RANGES: dict[str, tuple[float, float]] = {
    "scenes": (1, NUM_VALIDATION),
    "theta": (0, 1),
    "logit_noise": (0.0001, 1),  # without any, there is nothing to gain
    "seed": (0, 2**32 - 1),
}
MakeGraph = Callable[[int, Scene, Tensor], Tensor]


@dataclass(frozen=True)
class Options:
    """What is planted, and on how many scenes.

    Attributes:
        scenes: of the validation split, from its start.
        aucs: of the planted graphs.
        theta: smallest class probability of a patch that counts, see :class:`MassSettings`.
        logit_noise: see :class:`PlantedLogits`.
        seed: of all draws.
        diffusion: take the attention of the bundled Stable Diffusion as a graph too.
        upsampling: of the scores before the argmax, see :mod:`.cells`: ``none``, ``bilinear`` or ``jbu``.
    """

    scenes: int = 100
    aucs: tuple[float, ...] = (0.86, 0.96)
    theta: float = 0.5
    logit_noise: float = PlantedLogits.noise
    seed: int = 0
    diffusion: bool = True
    upsampling: str = NO_UPSAMPLING

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            _check(name, getattr(self, name), low, high)
        check_option("--upsampling", self.upsampling, CELLS)
        if not self.aucs:
            raise ValueError("--auc must name one value or more.")
        for auc in self.aucs:
            _check("auc", auc, *PLANTABLE)
        name, count = Counter(map(_planted, self.aucs)).most_common(1)[0]
        if count > 1:
            raise ValueError(f"--auc names {name.split()[-1]} twice: leave one of them out.")

    @property
    def logits(self) -> PlantedLogits:
        """What the planted logits are like."""
        return PlantedLogits(noise=self.logit_noise)


def analyse(folder: Path, options: Options | None = None, command: str = "") -> dict[str, Any]:
    """Score all readings, and write what was found.

    Args:
        folder: where the report is written.
        options: see :class:`Options`.
        command: recorded as it is.

    Returns:
        What ``headroom.json`` holds.

    Raises:
        ValueError: an AUC that cannot be planted.
    """
    options = options or Options()
    for name in NAMES:
        check_target(folder / name, "--out")
    with torch.inference_mode(), _one_thread():
        found = measure_scenes(options)
    result = {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        **asdict(options),
        "aucs": list(options.aucs),
        "patches_per_side": SIDE,
        "planted_logits": asdict(options.logits),
        "planted_attention": asdict(PlantedAttention()),
        **found,
        "git_commit": git_commit(),
        "versions": package_versions(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_report(result, folder)
    return result


def measure_scenes(options: Options) -> dict[str, Any]:
    """Label all scenes by every reading on every graph.

    Returns:
        See :meth:`Tally.summary`.
    """
    graphs = make_graphs(options)
    tally = Tally(len(CLASSES))
    drawn: Any = islice(draw_validation(), options.scenes)
    scenes: Iterator[Any] = count_down(drawn, options.scenes, "headroom")
    for number, scene in enumerate(scenes):
        truth = find_truth(scene, SIDE)
        logits = plant_logits(truth, SIDE, len(CLASSES), options.seed, number, options.logits)
        made = {name: make(number, scene, truth) for name, make in graphs.items()}
        for name, graph in made.items():
            tally.add_graph(name, graph_auc(graph, truth))
        tally.add_confidence(*_confidence(logits, truth), options.theta)
        add_labels(tally, logits, make_cells(scene, options.upsampling), made, options.theta)
    return tally.summary()


def add_labels(tally: Tally, logits: Tensor, cells: Cells, graphs: Mapping[str, Tensor], theta: float) -> None:
    """Label one scene by every reading.

    Args:
        tally: takes in what is found.
        logits: cosines of the patches (N, C).
        cells: what is labelled.
        graphs: (N, N), by name.
        theta: of the noise suppression.
    """
    query_class = torch.arange(logits.shape[1])
    own = cells.labels(logits, query_class)
    regions = label_true_regions(*(part.unflatten(0, (cells.side, -1)) for part in (own, cells.truth)))
    tally.add_labels(None, NO_GRAPH, regions.flatten(), cells.truth)
    tally.add_labels(Reading(LOGITS), NO_GRAPH, own, cells.truth)
    mass, queries, confidence = MassSettings(theta=theta).masses(logits, query_class)
    for name, graph in {NO_GRAPH: None, **graphs}.items():
        readings = all_readings(needs_graph=graph is not None)
        for reading, scores in solve_readings(readings, mass, graph, confidence):
            tally.add_labels(reading, name, cells.labels(scores, queries), cells.truth)


def _confidence(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Probability of the likeliest class of each patch (N,), and whether that is the true one."""
    most, found = confidences(logits, torch.arange(logits.shape[1]), MassSettings.nms_scale).max(dim=1)
    return most, found == truth


def make_graphs(options: Options) -> dict[str, MakeGraph]:
    """What makes the graph (N, N) of a scene, by the graph's name."""

    def plant(auc: float) -> MakeGraph:
        return lambda number, _, truth: plant_graph(truth, SIDE, len(CLASSES), options.seed, number, auc).graph

    makers = {_planted(auc): plant(auc) for auc in options.aucs}
    if options.diffusion:
        network = StableDiffusion("pocket", _DIFFUSION_BLOCKS, short_side=_DIFFUSION_SIDE)
        makers[DIFFUSION] = lambda _, scene, __: network.graph(pixels(scene), (SIDE, SIDE))[0]
    return makers


def _planted(auc: float) -> str:
    """Name of a planted graph."""
    return f"planted {auc:g}"


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"--{name.replace('_', '-')} must lie in [{low}, {high}], but got {value}.")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Small matrices are fastest so, and sums round alike on every number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
