"""Folders that ``tfovss dataset init`` has made: read their files again, and write further configs into them."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from mmseg_tfovss.datasets.listed import read_pairs
from mmseg_tfovss.own_data.folder import DATASET
from mmseg_tfovss.own_data.leaf import Leaf, make_leaves
from mmseg_tfovss.own_data.report import check_survey
from mmseg_tfovss.own_data.survey import Survey, Watch, survey
from mmseg_tfovss.own_data.table import ClassTable
from mmseg_tfovss.whole_file import whole_file


def check(folder: Path, workers: int, watch: Watch) -> tuple[ClassTable, Survey]:
    """Read every image and mask of a folder that :func:`create` has made.

    Raises:
        FileNotFoundError: no such folder, or a file of it.
        ValueError: what is wrong.
    """
    config = read_dataset(folder)
    settings = config.test_dataloader.dataset
    names, ignored = tuple(settings.metainfo.classes), settings.metainfo.ignore_index
    values = tuple(range(len(names)))
    queries = tuple((name,) for name in names)
    table = ClassTable(names, queries, values, False, False, () if ignored is None else (ignored,))
    root = Path(settings.data_root)
    pairs = read_pairs(root / settings.ann_file)
    files = [
        (root / settings.data_prefix.img_path / image, root / settings.data_prefix.seg_map_path / mask)
        for image, mask in pairs
    ]
    found = survey(files, table, workers, watch)
    check_survey(found, table)
    return table, found


def add(folder: Path, methods: Sequence[str], backbones: Sequence[str]) -> list[Leaf]:
    """Write configs of further methods into a folder that :func:`create` has made.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no such method, or a config that is there already; nothing is written.
        OSError: the folder cannot be written.
    """
    leaves = make_leaves(str(read_dataset(folder).dataset), methods, backbones)
    there = [leaf.name for leaf in leaves if (folder / leaf.name).exists()]
    if there:
        raise ValueError(f"{folder / there[0]} exists already: delete it to have it made again.")
    for leaf in leaves:
        with whole_file(folder / leaf.name) as scratch:
            scratch.write_text(leaf.text, encoding="utf-8")
    return leaves


def read_dataset(folder: Path) -> Config:
    """The dataset's part of the configs in a folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it cannot be read.
    """
    file = folder / DATASET
    if not file.is_file():
        raise FileNotFoundError(f"{folder} is no dataset made by tfovss dataset init: it has no {DATASET}.")
    try:
        return Config.fromfile(file)
    except Exception as error:  # a config is Python code
        raise ValueError(f"{file} cannot be read: {type(error).__name__}: {error}") from error
