"""From folders and a class file to a folder of configs: everything is read and checked before it appears."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mmseg_tfovss.datasets.facts import FACTS
from mmseg_tfovss.own_data.folder import IMAGES, MASKS, new_folder, save_labels, write_files
from mmseg_tfovss.own_data.ignored import ignore
from mmseg_tfovss.own_data.leaf import Leaf, make_leaves
from mmseg_tfovss.own_data.masks import has_three_channels
from mmseg_tfovss.own_data.pairs import Pairs, find_pairs
from mmseg_tfovss.own_data.report import check_complete, check_survey
from mmseg_tfovss.own_data.source import Source, write_source
from mmseg_tfovss.own_data.split import only_listed
from mmseg_tfovss.own_data.survey import Survey, Watch, survey
from mmseg_tfovss.own_data.table import LARGEST_LABEL, ClassTable, read_table

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Request:
    """What the user has, and wants.

    Attributes:
        folder: to be made; its name is the dataset's.
        images: folder of images.
        masks: folder of masks.
        classes: the class file.
        ignored: classes, labels or colours that do not count.
        first_label: label of the first class; None: 0, or what the class file says.
        split: list of the images that count.
        image_suffix: what images' names end in.
        mask_suffix: what masks' names end in.
        only_pairs: leave out images without a mask.
        methods: of which configs are written.
        backbones: of these configs.
        workers: threads.
        command: how this was asked for.
    """

    folder: Path
    images: Path
    masks: Path
    classes: str
    ignored: Sequence[str]
    first_label: int | None
    split: Path | None
    image_suffix: str | None
    mask_suffix: str | None
    only_pairs: bool
    methods: Sequence[str]
    backbones: Sequence[str]
    workers: int
    command: str


@dataclass(frozen=True)
class Created:
    """What was found and made.

    Attributes:
        table: the classes.
        survey: what the masks hold.
        pairs: the files' names.
        leaves: the configs.
        anew: whether masks were written anew.
    """

    table: ClassTable
    survey: Survey
    pairs: Pairs
    leaves: list[Leaf]
    anew: bool


def create(request: Request, watch: Watch) -> Created:
    """Check a dataset and write its folder.

    Args:
        request: what there is.
        watch: shows progress; see :func:`mmseg_tfovss.own_data.survey.survey`.

    Raises:
        FileNotFoundError: a folder or file does not exist.
        ValueError: something does not fit; nothing is written.
        OSError: the folder cannot be written.
    """
    name = _check_name(request.folder)
    if request.first_label is not None and not 0 <= request.first_label <= LARGEST_LABEL:
        raise ValueError(f"--first-label must be a label, 0 .. {LARGEST_LABEL}, but got {request.first_label}.")
    table = ignore(read_table(request.classes, request.first_label), request.ignored)
    leaves = make_leaves(name, request.methods, request.backbones)
    pairs = find_pairs(request.images, request.masks, request.image_suffix, request.mask_suffix)
    if request.split:
        pairs = only_listed(pairs, request.split, request.images)
    check_complete(pairs, request.images, only_pairs=request.only_pairs)
    first = request.masks / pairs.pairs[0][1]
    anew = not table.is_plain or (not table.coloured and has_three_channels(first))
    with new_folder(request.folder) as scratch:
        found = _read(request, table, pairs, scratch if anew else None, watch)
        check_survey(found, table, _hint(first, table, found))
        links = {IMAGES: request.images, **({} if anew else {MASKS: request.masks})}
        listed = [(image, _png(mask) if anew else mask) for image, mask in pairs.pairs]
        write_files(scratch, name, table, listed, leaves, links, request.command)
        write_source(_source(request, anew=anew), scratch)
    return Created(table, found, pairs, leaves, anew)


def _source(request: Request, *, anew: bool) -> Source:
    return Source(
        masks=str(request.masks.resolve()) if anew else None,
        image_suffix=request.image_suffix,
        mask_suffix=request.mask_suffix,
        only_pairs=request.only_pairs,
        split=request.split is not None,
    )


def _check_name(folder: Path) -> str:
    name = folder.name
    if not _NAME.fullmatch(name):
        raise ValueError(f"The name {name!r} must be of letters, digits, _ and -, for it is part of files' names.")
    if name in FACTS:
        raise ValueError(f"{name} is the name of a benchmark (docs/datasets.md): choose another one.")
    if folder.exists() or folder.is_symlink():
        raise ValueError(
            f"{folder} exists already: choose another name, or another place for it, as in configs/{name}."
        )
    return name


def _read(request: Request, table: ClassTable, pairs: Pairs, folder: Path | None, watch: Watch) -> Survey:
    files = [(request.images / image, request.masks / mask) for image, mask in pairs.pairs]
    if folder is None:
        return survey(files, table, request.workers, watch)
    names = [_png(mask) for _, mask in pairs.pairs]
    return survey(
        files,
        table,
        request.workers,
        watch,
        lambda number, labels: save_labels(labels, table.palette, folder / MASKS / names[number]),
    )


def _png(mask: str) -> str:
    return str(Path(mask).with_suffix(".png"))


def _hint(mask: Path, table: ClassTable, found: Survey) -> str:
    """What else may be the reason for colours that are no class."""
    if not (found.foreign and table.coloured):
        return ""
    with Image.open(mask) as picture:
        if picture.mode not in ("P", "L"):
            return ""
    return (
        f"The mask {mask} has one channel of numbers or a palette: if its numbers are the classes, take a class file"
        " without colours; if its colours are, add them to the class file."
    )
