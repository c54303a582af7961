"""Several methods on the same samples of a dataset, side by side with the annotation, as one picture."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from PIL import Image

from mmseg_tfovss.pictures.compare import (
    check_fits_dataset,
    draw_comparison,
    list_samples,
    read_annotations,
    shared_colours,
    shared_names,
)


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
        FileNotFoundError: the dataset or weights are missing.
    """
    datasets = {config.dataset for config in configs}
    if len(datasets) != 1:
        raise ValueError(f"The configs must share one dataset, but have {', '.join(sorted(datasets)) or 'none'}.")
    known = list_samples(configs[0])
    for index in samples:
        if not 0 <= index < len(known):
            raise ValueError(f"Sample {index} does not exist: {configs[0].dataset} has 0 .. {len(known) - 1}.")
    chosen = [known[index] for index in samples]
    names = shared_names(configs)
    check_fits_dataset(configs[0])  # as the annotation beside them
    return draw_comparison(
        [Path(sample["img_path"]) for sample in chosen],
        configs,
        device,
        names,
        shared_colours(configs, names),
        truths=read_annotations(chosen, configs[0]),
    )
