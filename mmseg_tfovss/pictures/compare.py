"""Several methods on any images, side by side, in one set of colours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from mmseg_tfovss.datasets.files import check_pair, load_image, load_labels, read_image
from mmseg_tfovss.engine.preflight import build_dataset
from mmseg_tfovss.engine.single import build_method, segment_file
from mmseg_tfovss.pictures.grid import Column, draw_grid, shrink, tint
from mmseg_tfovss.pictures.overlay import dataset_colours, dataset_facts, named_colours
from mmseg_tfovss.registry import TRANSFORMS
from mmseg_tfovss.vocabulary import Vocabulary, load_vocabulary
from mmseg_tfovss.vocabulary.agreement import check_fits
from mmseg_tfovss.vocabulary.classes import BACKGROUND
from mmseg_tfovss.vocabulary.words import count_of

_NO_CLASS = (255, 65535)  # in label files of 8 and 16 bits


def draw_comparison(
    images: Sequence[Path],
    configs: Sequence[Config],
    device: str,
    names: Sequence[str],
    colours: np.ndarray,
    *,
    truths: Sequence[np.ndarray] | None = None,
    cell: int = 480,
) -> Image.Image:
    """One row per image: the image, its annotation if there is one, and every config's labels; a legend below.

    Methods are loaded one after the other.

    Args:
        images: image files.
        configs: one column each.
        device: where the methods run.
        names: of :func:`shared_names`.
        colours: of :func:`shared_colours`.
        truths: an annotation (H, W) per image; ids that are no class stay uncoloured.
        cell: long side in pixels that larger pictures are shrunk to.

    Returns:
        The picture; its legend names the classes that occur, in their order.

    Raises:
        ValueError: a model or image that cannot be used.
        FileNotFoundError: missing images or weights.
    """
    originals = [read_image(path)[..., ::-1] for path in images]
    columns = [Column("image", [shrink(image, cell) for image in originals])]
    present: set[int] = set()
    if truths is not None:
        cells = [tint(image, truth, colours) for image, truth in zip(originals, truths, strict=True)]
        columns.append(Column("annotation", [shrink(picture, cell) for picture in cells]))
        present.update(*(np.unique(truth).tolist() for truth in truths))
    for title, config in zip(_titles(configs), configs, strict=True):
        model = build_method(config, device)
        results = [segment_file(model, path) for path in images]
        cells = [tint(result.image, result.pred, colours) for result in results]
        columns.append(Column(title, [shrink(picture, cell) for picture in cells]))
        present.update(*(np.unique(result.pred).tolist() for result in results))
    return draw_grid(columns, [(names[index], colours[index]) for index in sorted(present) if index < len(names)])


def shared_names(configs: Sequence[Config]) -> tuple[str, ...]:
    """The class names of all columns.

    Configs of one dataset may say its classes in words of their own: their ids mean the same.

    Args:
        configs: of all columns.

    Returns:
        One name per class; "background" for class 0 if that is what a list says of it.

    Raises:
        ValueError: the configs have different classes, or those of one dataset in different orders, or a vocabulary
            cannot be used.
    """
    lists = [vocabulary_of(config).shown_names for config in configs]
    one_dataset = _share_dataset(configs) and len({len(names) for names in lists}) == 1
    if not (one_dataset or len(set(lists)) == 1):
        described = "; ".join(map(_describe, configs, lists))
        raise ValueError(
            f"The configs have different classes, so their colours cannot be compared ({described}): name configs of"
            ' one dataset, or the classes for all of them with --classes "cat; dog; grass".'
        )
    if len(set(lists)) > 1:
        for config in configs:
            if len(_classes(config)) == len(lists[0]):
                check_fits_dataset(config)
    return next((names for names in lists if names[0] == BACKGROUND), lists[0])


def vocabulary_of(config: Config) -> Vocabulary:
    """The words of a config.

    Raises:
        ValueError: they cannot be used.
        FileNotFoundError: their file does not exist.
    """
    head = config.model.decode_head
    return load_vocabulary(head.vocabulary, head.get("background"))


def check_fits_dataset(config: Config) -> None:
    """Refuse words that are not those of the config's dataset, whose files are not needed.

    Raises:
        ValueError: another number of classes, or another order as far as names can tell.
    """
    classes = _classes(config)
    if classes:
        check_fits(vocabulary_of(config), classes, config.dataset, {}, force=config.get("force_vocabulary", False))


def _classes(config: Config) -> Sequence[str]:
    """The dataset's own names; empty where its settings do not say them."""
    return dataset_facts(config.test_dataloader.dataset).get("classes") or () if "test_dataloader" in config else ()


def shared_colours(configs: Sequence[Config], names: Sequence[str], *, given: bool = False) -> np.ndarray:
    """The colours of all columns: the palette of the dataset that the configs share, if they do.

    Args:
        configs: of all columns.
        names: of :func:`shared_names`.
        given: the words are the user's, not the dataset's.

    Returns:
        (C, 3) uint8.
    """
    if given or not _share_dataset(configs) or "test_dataloader" not in configs[0]:
        return named_colours(names)
    return dataset_colours(configs[0].test_dataloader.dataset, names)


def read_truths(files: Sequence[Path], images: Sequence[Path], count: int) -> list[np.ndarray]:
    """Annotations from files: class ids from 0, 255 (16 bits: 65535) where there is no class.

    Args:
        files: one per image.
        images: to check the sizes.
        count: of classes.

    Returns:
        (H, W) int64 per image.

    Raises:
        ValueError: another number of files than of images, another size, or a label that is no class.
        FileNotFoundError: a file does not exist.
    """
    if len(files) != len(images):
        given = count_of(len(images), "image", "images")
        raise ValueError(f"--ground-truth needs one file per image, but got {len(files)} for {given}.")
    truths = []
    for file, image in zip(files, images, strict=True):
        labels, turned = load_labels(file)
        pixels, orientation = load_image(image)
        check_pair(image, pixels.shape, orientation, file, (labels, turned))
        wrong = labels[(labels >= count) & ~np.isin(labels, _NO_CLASS)]
        if wrong.size:
            raise ValueError(
                f"The annotation {file} holds the label {wrong[0]}, but the classes are 0 .. {count - 1};"
                " for a benchmark's own annotation files use --ground-truth auto."
            )
        truths.append(labels)
    return truths


def find_truths(images: Sequence[Path], config: Config) -> list[np.ndarray]:
    """Annotations of images that belong to a config's dataset, changed as for the evaluation.

    Args:
        images: files of the dataset.
        config: names the dataset.

    Returns:
        (H, W) int64 per image, at the image's size.

    Raises:
        ValueError: the config has no dataset, or an image is not in it.
        FileNotFoundError: the dataset is not there.
    """
    if "test_dataloader" not in config:
        raise ValueError(f"--ground-truth auto: the config {config.run_name} has no dataset; name annotation files.")
    check_fits_dataset(config)  # the names of the words are written beside the annotation's colours
    infos = list_samples(config)
    known = {Path(info["img_path"]).resolve(): info for info in infos}
    for image in images:
        if image.resolve() not in known:
            raise ValueError(
                f"--ground-truth auto: {image} is not among the images of {config.dataset} ({len(known)})."
            )
    return read_annotations([known[image.resolve()] for image in images], config)


def list_samples(config: Config) -> list[dict[str, Any]]:
    """What MMSeg knows of each sample of a config's dataset.

    Raises:
        FileNotFoundError: the dataset is not there.
        ValueError: its settings are wrong.
    """
    dataset = build_dataset(config)
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def read_annotations(samples: Sequence[Mapping[str, Any]], config: Config) -> list[np.ndarray]:
    """Annotations changed as for the evaluation, but neither resized nor cut.

    Args:
        samples: of :func:`list_samples`.
        config: its pipeline reads and relabels.

    Returns:
        (H, W) int64 per sample.
    """
    with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
        steps = [TRANSFORMS.build(dict(step)) for step in config.test_dataloader.dataset.pipeline if _reads(step)]
    truths = []
    for sample in samples:
        changed = dict(sample)
        for step in steps:
            changed = step(changed)
        truths.append(_relabelled(changed["gt_seg_map"], config.test_evaluator.get("relabel") or {}))
    return truths


def _reads(step: Config) -> bool:
    """Whether a step of a pipeline reads or relabels, rather than changes or packs what is read."""
    return step["type"] in ("LoadImageFromFile", "LoadImage", "LoadAnnotations", "LoadLabels", "Relabel")


def _relabelled(labels: np.ndarray, mapping: Mapping[int, int]) -> np.ndarray:
    """Labels as CLIPtrase's metric changes them."""
    return np.select([labels == old for old in mapping], list(mapping.values()), labels) if mapping else labels


def _share_dataset(configs: Sequence[Config]) -> bool:
    datasets = {config.get("dataset") for config in configs}
    return len(datasets) == 1 and None not in datasets


def _describe(config: Config, names: Sequence[str]) -> str:
    count, dataset = count_of(len(names), "class", "classes"), config.get("dataset", "no dataset")
    return f"{config.run_name}: {count} of {dataset} ({', '.join(names[:3])} ...)"


def _titles(configs: Sequence[Config]) -> list[str]:
    """The methods' names, or the configs' where a method occurs twice."""
    methods = [str(config.model.type) for config in configs]
    return [
        method if methods.count(method) == 1 else str(config.run_name)
        for method, config in zip(methods, configs, strict=True)
    ]
