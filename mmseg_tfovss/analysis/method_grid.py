"""Several methods on the same samples of a dataset, side by side with the annotation, as one picture."""

from collections.abc import Sequence
from itertools import repeat
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from mmseg_tfovss.analysis.overlay import class_colours
from mmseg_tfovss.analysis.picture_grid import Column, draw_grid, tint
from mmseg_tfovss.datasets.files import read_image, read_labels
from mmseg_tfovss.engine.single import build_method, config_resize, segment_file
from mmseg_tfovss.registry import DATASETS


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
    columns = [Column("image", images), Column("annotation", list(map(tint, images, truths, repeat(colours))))]
    for config in configs:
        model = build_method(config, device)
        labels = [segment_file(model, path, config_resize(config)).pred for path in paths]
        columns.append(Column(str(config.model.type), list(map(tint, images, labels, repeat(colours)))))
    present = np.unique(np.concatenate([truth[truth < len(classes)] for truth in truths]))
    return draw_grid(columns, [(classes[index], colours[index]) for index in present])
