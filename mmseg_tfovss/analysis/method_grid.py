"""Several methods on the same samples of a dataset, side by side with the annotation, as one picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image, ImageDraw, ImageFont

from mmseg_tfovss.analysis.overlay import class_colours
from mmseg_tfovss.datasets.files import read_image, read_labels
from mmseg_tfovss.engine.single import build_method, config_resize, segment_file
from mmseg_tfovss.registry import DATASETS

_OPACITY = 0.7
_TITLE, _GAP, _SWATCH, _FONT = 22, 6, 12, 13  # pixels


def draw_method_grid(configs: Sequence[Config], samples: Sequence[int], device: str) -> Image.Image:
    """One row per sample: image, annotation, and every config's labels; a legend below.

    Args:
        configs: with one and the same dataset.
        samples: indices into the dataset.
        device: where the methods run.

    Returns:
        The picture.

    Raises:
        ValueError: the configs' datasets differ, or a sample does not exist.
    """
    names = {config.dataset for config in configs}
    if len(names) != 1:
        raise ValueError(f"The configs must share one dataset, but have {', '.join(sorted(names)) or 'none'}.")
    with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
        dataset = DATASETS.build(dict(configs[0].test_dataloader.dataset))
    for index in samples:
        if not 0 <= index < len(dataset):
            raise ValueError(f"Sample {index} does not exist: {configs[0].dataset} has 0 .. {len(dataset) - 1}.")
    infos = [dataset.get_data_info(index) for index in samples]
    paths = [Path(info["img_path"]) for info in infos]
    images = [read_image(path)[..., ::-1] for path in paths]
    truths = [read_labels(info["seg_map_path"]) for info in infos]
    palette = dataset.metainfo.get("palette")
    classes = dataset.metainfo["classes"]
    colours = np.array(palette, np.uint8) if palette else class_colours(len(classes))
    columns = [("image", images), ("annotation", _coloured(images, truths, colours))]
    for config in configs:
        model = build_method(config, device)
        labels = [segment_file(model, path, config_resize(config)).pred for path in paths]
        columns.append((str(config.model.type), _coloured(images, labels, colours)))
    present = np.unique(np.concatenate([truth[truth < len(classes)] for truth in truths]))
    return _compose(columns, [(classes[index], colours[index]) for index in present])


def _coloured(images: Sequence[np.ndarray], labels: Sequence[np.ndarray], colours: np.ndarray) -> list[np.ndarray]:
    """Blend class colours over the images; pixels without a class (ignored) stay as they are."""
    blended = []
    for image, ids in zip(images, labels, strict=True):
        known = (ids < len(colours))[..., None]
        tinted = (1 - _OPACITY) * image + _OPACITY * colours[np.where(known[..., 0], ids, 0)]
        blended.append(np.where(known, tinted, image).round().astype(np.uint8))
    return blended


def _compose(
    columns: Sequence[tuple[str, Sequence[np.ndarray]]], legend: Sequence[tuple[str, np.ndarray]]
) -> Image.Image:
    font = ImageFont.load_default(size=_FONT)
    heights = [max(column[row].shape[0] for _, column in columns) for row in range(len(columns[0][1]))]
    widths = [max(cell.shape[1] for cell in cells) for _, cells in columns]
    width = sum(widths) + _GAP * (len(widths) + 1)
    height = _TITLE + sum(heights) + _GAP * (len(heights) + 1) + _TITLE
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    left = _GAP
    for (title, cells), column_width in zip(columns, widths, strict=True):
        draw.text((left, _GAP // 2), title, fill="black", font=font)
        top = _TITLE
        for cell, row_height in zip(cells, heights, strict=True):
            picture.paste(Image.fromarray(cell), (left, top))
            top += row_height + _GAP
        left += column_width + _GAP
    left = _GAP
    top = height - _TITLE
    for name, colour in legend:
        draw.rectangle((left, top, left + _SWATCH, top + _SWATCH), fill=tuple(colour.tolist()))
        draw.text((left + _SWATCH + _GAP, top - 2), name, fill="black", font=font)
        left += _SWATCH + 3 * _GAP + int(font.getlength(name))
    return picture
