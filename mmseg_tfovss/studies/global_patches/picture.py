"""CLIP's attention and CLIPtrase's correlation, clusters and labels on one image, side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch
from mmengine.config import Config
from torch import Tensor

from mmseg_tfovss.engine.single import Segmentation, build_method, load_image, segment_file
from mmseg_tfovss.methods.cliptrase import CLIPtrase
from mmseg_tfovss.ops.clustering import NOISE
from mmseg_tfovss.pictures.grid import MID_GREY, tint
from mmseg_tfovss.pictures.overlay import class_colours, named_colours
from mmseg_tfovss.registry import MODELS
from mmseg_tfovss.studies.global_patches.maps import PatchMaps, find_patch_maps
from mmseg_tfovss.vocabulary.words import cut

_PANEL, _LEGEND, _LABEL = 2.3, 1.9, 0.4  # inches
_PANELS = 5  # below the layers
_HEAT, _HEAT_OPACITY, _OPACITY = "jet", 0.55, 0.75
_BRIGHTEST = 99.5  # percentile of the attention between patches that gets the last colour
_NAMED, _NAME = 14, 20  # classes in the legend, letters of each


def draw_global_patches(
    config: Config,
    path: Path,
    device: str,
    layers: Sequence[int] | None = None,
    patch: tuple[int, int] | None = None,
) -> Figure:
    """Build a config's method, run it on an image file, and draw.

    Args:
        config: of a method of CLIPtrase's kind.
        path: the image.
        device: where the method runs.
        layers: see :func:`find_patch_maps`.
        patch: see :func:`find_patch_maps`.

    Returns:
        The picture, to be saved with its ``savefig``.

    Raises:
        ValueError: another method, or a layer or patch that does not exist.
        FileNotFoundError: no such image, or missing weights.
    """
    if not path.is_file():
        raise FileNotFoundError(f"The image {path} does not exist.")
    kind = MODELS.get(config.model.type)
    if kind is not None and not issubclass(kind, CLIPtrase):  # an unknown name is refused below, with near matches
        raise ValueError(
            f"global-patches shows what CLIPtrase recovers, clusters and denoises, but the config's method is"
            f" {config.model.type}: use a config below configs/cliptrase."
        )
    model = build_method(config, device)
    assert isinstance(model, CLIPtrase)
    maps = find_patch_maps(model, load_image(model, path)[1], layers, patch)
    return draw_patch_maps(model, maps, segment_file(model, path), path.name)


def draw_patch_maps(model: CLIPtrase, maps: PatchMaps, result: Segmentation, name: str) -> Figure:
    """One column per layer, and below them the patch, its recovered map, the clusters and the final labels."""
    columns = max(_PANELS, len(maps.attention))
    height, width = result.image.shape[:2]
    tall = min(max(height / width, 0.4), 2.5)
    rows = (_PANEL * (1 + 2 * tall) + 1.3, _PANEL * tall + 0.9)
    figure = Figure((columns * _PANEL + _LEGEND + _LABEL, sum(rows)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    row, column = maps.patch
    figure.suptitle(
        f"{name}: {maps.grid[0]} x {maps.grid[1]} patches, the red dot is patch (row {row}, column {column})",
        fontsize=12,
    )
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=rows, hspace=0.03).flat
    _draw_layers(above, maps, result.image, tall)
    _draw_method(below, model, maps, result)
    return figure


def _draw_layers(figure: SubFigure, maps: PatchMaps, image: np.ndarray, tall: float) -> None:
    axes = figure.subplots(3, max(_PANELS, len(maps.attention)), height_ratios=(1, tall, tall))
    for unused in axes[:, len(maps.attention) :].flat:
        unused.axis("off")
    for column, (layer, attention) in zip(axes.T, maps.attention.items(), strict=False):
        between = attention[1:, 1:].numpy()
        column[0].imshow(between, cmap="viridis", vmin=0, vmax=np.percentile(between, _BRIGHTEST))
        column[0].set_title(f"block {layer}", fontsize=11)
        column[0].set_xlabel(f"{len(between)} x {len(between)} patches", fontsize=8)
        _draw_heat(column[1], image, attention[0, 1:].view(maps.grid))
        _draw_heat(column[2], image, attention[1 + maps.index, 1:].view(maps.grid))
        _draw_dot(column[2], maps, image)
    labels = ("attention\nbetween patches", "attention of the\nclass token", "attention of the\npatch, in CLIP")
    for axis, label in zip(axes[:, 0], labels, strict=True):
        axis.set_ylabel(label, fontsize=10)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])


def _draw_method(figure: SubFigure, model: CLIPtrase, maps: PatchMaps, result: Segmentation) -> None:
    *axes, legend = figure.subplots(1, _PANELS + 1, width_ratios=[_PANEL] * _PANELS + [_LEGEND])
    picture, recovered, raw, clusters, final = axes
    picture.imshow(result.image)
    picture.set_title("image", fontsize=10)
    _draw_heat(recovered, result.image, maps.correlation[maps.index].view(maps.grid))
    recovered.set_title(f"recovered: the patch's w,\nblock {model.correlation_layer}", fontsize=10)
    for axis in (picture, recovered):
        _draw_dot(axis, maps, result.image)
    _draw_clusters(raw, result.image, maps.raw_clusters, "clusters,\nnot denoised")
    _draw_clusters(clusters, result.image, maps.clusters, f"clusters, denoised:\n{model.denoising}")
    windows = "" if model.mode == "whole" else f"\n(windows of {model.crop[0]} x {model.crop[1]} pixels)"
    final.set_title(f"final labels{windows}", fontsize=10)
    _draw_labels(final, legend, result)
    for axis in axes:
        axis.set(xticks=[], yticks=[])


def _draw_heat(axis: Axes, image: np.ndarray, heat: Tensor) -> None:
    """A map (h, w) over the image, from its lowest to its highest value."""
    axis.imshow(image)
    extent = (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5)
    axis.imshow(heat.numpy(), cmap=_HEAT, alpha=_HEAT_OPACITY, extent=extent, interpolation="bilinear")
    axis.set_xlabel(f"{float(heat.min()):.2g} to {float(heat.max()):.2g}", fontsize=8)


def _draw_dot(axis: Axes, maps: PatchMaps, image: np.ndarray) -> None:
    y, x = (
        (place + 0.5) * pixels / patches - 0.5
        for place, pixels, patches in zip(maps.patch, image.shape[:2], maps.grid, strict=True)
    )
    axis.plot([x], [y], "o", color="red", markeredgecolor="white", markersize=7)


def _draw_clusters(axis: Axes, image: np.ndarray, clusters: Tensor, title: str) -> None:
    """Ids (h, w) as colours over the image; noise is dark grey."""
    count = int(clusters.max()) + 1
    extent = (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5)
    axis.imshow(image)
    axis.imshow(class_colours(count + 1)[clusters.numpy() + 1], alpha=_OPACITY, extent=extent, interpolation="nearest")
    axis.set_title(title, fontsize=10)
    noise = int((clusters == NOISE).sum())
    axis.set_xlabel(f"clusters: {count}, noise: {100 * noise / clusters.numel():.0f}% (grey)", fontsize=8)


def _draw_labels(axis: Axes, legend: Axes, result: Segmentation) -> None:
    colours = named_colours(result.names)
    axis.imshow(tint(result.image, result.pred, colours))
    areas = np.bincount(result.pred.flatten(), minlength=len(colours))
    present = [index for index in np.argsort(-areas, kind="stable") if areas[index]]
    swatches = tint(np.full((1, len(colours), 3), MID_GREY, np.uint8), np.arange(len(colours))[None], colours)[0] / 255
    shown = [Patch(color=swatches[i], label=_lettered(result.names[i])) for i in present[:_NAMED]]
    if len(present) > _NAMED:
        shown.append(Patch(color="white", label=f"and {len(present) - _NAMED} more"))
    legend.axis("off")
    legend.legend(handles=shown, loc="center left", frameon=False, fontsize=9, borderaxespad=0)


def _lettered(name: str) -> str:
    """A name for matplotlib, to which dollars are the ends of a formula."""
    return cut(name, _NAME).replace("$", r"\$")
