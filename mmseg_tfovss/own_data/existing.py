"""Folders that ``tfovss dataset init`` has made: read their files again, and write further configs into them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from mmseg_tfovss.datasets.listed import read_pairs
from mmseg_tfovss.own_data.folder import DATASET, MASKS
from mmseg_tfovss.own_data.leaf import Leaf, make_leaves
from mmseg_tfovss.own_data.pairs import Pairs
from mmseg_tfovss.own_data.report import check_survey, made_hint
from mmseg_tfovss.own_data.source import look_again
from mmseg_tfovss.own_data.survey import Survey, Watch, survey
from mmseg_tfovss.own_data.table import ClassTable
from mmseg_tfovss.whole_file import whole_file


class Checked(NamedTuple):
    """What :func:`check` has found.

    Attributes:
        table: the classes.
        survey: what the masks hold.
        pairs: the files that are there now; see :func:`mmseg_tfovss.own_data.source.look_again`.
        unlisted: images with masks that have come since, and are not evaluated.
    """

    table: ClassTable
    survey: Survey
    pairs: Pairs
    unlisted: list[str]


def check(folder: Path, workers: int, watch: Watch) -> Checked:
    """Read every image and mask of a folder that :func:`create` has made, and look for files that have come since.

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
    now, unlisted = look_again(folder, pairs)
    files = [
        (root / settings.data_prefix.img_path / image, root / settings.data_prefix.seg_map_path / mask)
        for image, mask in pairs
    ]
    found = survey(files, table, workers, watch)
    check_survey(found, table, made_hint(found, table, folder, anew=not (folder / MASKS).is_symlink()))
    return Checked(table, found, now, unlisted)


class Added(NamedTuple):
    """What :func:`add` has done.

    Attributes:
        written: configs that were not there.
        kept: configs that were there, with the same text.
    """

    written: list[Leaf]
    kept: list[Leaf]


def add(folder: Path, methods: Sequence[str], backbones: Sequence[str]) -> Added:
    """Write configs of further methods into a folder that :func:`create` has made.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no such method, or a config that is there with another text; nothing is written.
        OSError: the folder cannot be written.
    """
    leaves = make_leaves(str(read_dataset(folder).dataset), methods, backbones)
    kept = [leaf for leaf in leaves if _is_there(leaf, folder / leaf.name)]
    added = [leaf for leaf in leaves if leaf not in kept]
    for leaf in added:
        with whole_file(folder / leaf.name) as scratch:
            scratch.write_text(leaf.text, encoding="utf-8")
    return Added(added, kept)


def _is_there(leaf: Leaf, file: Path) -> bool:
    if not os.path.lexists(file):
        return False
    if file.is_file() and file.read_bytes() == leaf.text.encode():
        return True
    raise ValueError(f"{file} exists already, and was changed since it was made: delete it to have it made again.")


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
