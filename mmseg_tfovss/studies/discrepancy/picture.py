"""DSLO's steps on one image, side by side: one row per class, and the final labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from mmengine.config import Config
from PIL import Image
from torch import Tensor

from mmseg_tfovss.engine.single import build_method, load_image
from mmseg_tfovss.methods.dslo import DSLO
from mmseg_tfovss.pictures.overlay import draw_overlay, named_colours
from mmseg_tfovss.studies.discrepancy.maps import DiscrepancyMaps, find_discrepancy_maps, require_dslo
from mmseg_tfovss.vocabulary.words import cut

_DPI, _PANEL, _LABELS, _ABOVE = 110, 2.0, 3.4, 0.75  # inches but the first
_COLUMNS = 5
_HEAT = "viridis"
_OVERLAY = 300  # pixels of its longer side
_NAME = 22  # letters of a class


@dataclass(frozen=True)
class Captions:
    """The words around the maps.

    Attributes:
        title: image, config and graph.
        mode: of the final map.
        max_steps: of M.V.
        names: of all classes.
    """

    title: str
    mode: str
    max_steps: int
    names: tuple[str, ...]


def draw_discrepancy(config: Config, path: Path, device: str, max_classes: int = 6) -> Figure:
    """Build a config's method, run it on an image file, and draw.

    Args:
        config: of a method of DSLO's kind, with a graph.
        path: the image.
        device: where the method runs.
        max_classes: rows at most.

    Returns:
        The picture, to be saved with its ``savefig``.

    Raises:
        ValueError: another method, or what :func:`find_discrepancy_maps` refuses.
        FileNotFoundError: no such image, or missing weights.
    """
    if not path.is_file():
        raise FileNotFoundError(f"The image {path} does not exist.")
    require_dslo(config, "discrepancy")
    model = build_method(config, device)
    assert isinstance(model, DSLO)
    original, image = load_image(model, path)
    maps = find_discrepancy_maps(model, image, (original.shape[0], original.shape[1]), max_classes, str(path))
    head = model.decode_head
    names = head.vocabulary.shown_names
    graph = getattr(model.graph, "name", type(model.graph).__name__)
    title = f"{path.name}, {config.get('run_name', config.model.type)}: {model.discrepancy.mode} over {graph}"
    return draw_maps(
        maps, original[..., ::-1], Captions(title, model.discrepancy.mode, model.discrepancy.max_steps, names)
    )


def draw_maps(maps: DiscrepancyMaps, image: np.ndarray, captions: Captions) -> Figure:
    """One row per class, and the labels of the image (H, W, 3), RGB, beside them."""
    tall = min(max(image.shape[0] / image.shape[1], 0.4), 2.5)
    height = _ABOVE + len(maps.classes) * (_PANEL * tall + 0.35)
    figure = Figure((_COLUMNS * _PANEL + _LABELS, max(height, 3.0)), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    patches = maps.grid[0] * maps.grid[1]
    figure.suptitle(
        f"{captions.title}\n{maps.grid[0]} x {maps.grid[1]} patches;"
        f" {len(maps.classes)} of {maps.survivors} classes after early rejection; patches at M.V.'s cap of"
        f" {captions.max_steps} steps: {int(maps.capped.sum())} of {patches * len(maps.classes)};"
        f" O.P. marginals off by {float(maps.violation.max()):.1g} at most",
        fontsize=9,
    )
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(_COLUMNS * _PANEL, _LABELS)).flat
    _draw_rows(left, maps, image, captions)
    _draw_labels(right.subplots(), maps, image, captions)
    return figure


def _draw_rows(figure: SubFigure, maps: DiscrepancyMaps, image: np.ndarray, captions: Captions) -> None:
    axes = figure.subplots(len(maps.classes), _COLUMNS, squeeze=False)
    axes[0, 0].imshow(image)
    for axis in axes[:, 0]:
        axis.set_frame_on(axis is axes[0, 0])
    patches = maps.grid[0] * maps.grid[1]
    for row, index in enumerate(maps.classes):
        share = 100 * float((maps.labels == index).float().mean())
        axes[row, 0].set_ylabel(f"{_lettered(captions.names[index])}\n{share:.1f}% of pixels", fontsize=9)
        _draw_map(axes[row, 1], maps.mass[row], image)
        _draw_map(axes[row, 2], maps.optimal_path[row], image, f"off by {float(maps.violation[row]):.1g}")
        _draw_map(axes[row, 3], maps.max_velocity[row], image, f"capped {int(maps.capped[row])} of {patches}")
        _draw_map(axes[row, 4], maps.final[row], image)
    titles = (
        "image",
        "normalised logits f",
        "optimal path (O.P.)",
        "maximum velocity (M.V.)",
        f"final: {captions.mode}",
    )
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])


def _draw_map(axis: Axes, values: Tensor, image: np.ndarray, note: str = "") -> None:
    """A map at the size of the image, on a scale of its own: bright speaks for the class."""
    extent = (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5)
    axis.imshow(values.numpy(), cmap=_HEAT, extent=extent, interpolation="nearest")
    scale = f"{float(values.min()):.2g} to {float(values.max()):.2g}"
    axis.set_xlabel(f"{scale}; {note}" if note else scale, fontsize=7)


def _draw_labels(axis: Axes, maps: DiscrepancyMaps, image: np.ndarray, captions: Captions) -> None:
    """The labels over the image, enlarged or reduced so that the legend can be read."""
    scale = _OVERLAY / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    resized = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    labels = Image.fromarray(maps.labels.numpy().astype(np.int32)).resize(size, Image.Resampling.NEAREST)
    names = [cut(name, _NAME) for name in captions.names]
    axis.imshow(np.asarray(draw_overlay(resized, np.asarray(labels), names, named_colours(captions.names))))
    axis.set_title("final labels", fontsize=9)
    axis.set_anchor("N")
    axis.axis("off")


def _lettered(name: str) -> str:
    """A name for matplotlib, to which dollars are the ends of a formula."""
    return cut(name, _NAME).replace("$", r"\$")
