"""The folder of a dataset of the user's own: links, masks, the list of pairs and configs; there completely or not."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_tfovss.datasets.listed import write_pairs
from mmseg_tfovss.own_data.leaf import Leaf, base_text, written
from mmseg_tfovss.own_data.table import ClassTable, entries_of
from mmseg_tfovss.plain import one_line

IMAGES, MASKS, PAIRS, DATASET = "images", "masks", "pairs.txt", "dataset.py"
_BASE = {"loader.py": "datasets/_loader.py", "runtime.py": "runtime.py"}
_THRESHOLD = 0.1  # of the unified protocol, where class 0 is the background
_PALETTE = 256


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Fill a folder under another name beside its place, and rename it when the block has succeeded.

    Args:
        target: does not exist yet.

    Yields:
        The scratch folder.

    Raises:
        OSError: it cannot be written, with the name that it would have had; nothing half-written is left.
    """
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        scratch.mkdir(parents=True)
        yield scratch
        scratch.rename(target)
    except OSError as error:
        if str(scratch) not in str(error.filename):
            raise
        raise OSError(error.errno, error.strerror, str(error.filename).replace(str(scratch), str(target))) from error
    finally:
        with suppress(OSError):
            shutil.rmtree(scratch, ignore_errors=True)


def save_labels(labels: np.ndarray, colours: Sequence[Sequence[int]] | None, path: Path) -> None:
    """Write class numbers (H, W) as a PNG: 8 bits with the classes' colours as its palette, or 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if labels.max(initial=0) >= _PALETTE:
        Image.fromarray(labels.astype(np.uint16)).save(path)
        return
    mask = Image.fromarray(labels.astype(np.uint8))
    if colours:
        levels = [level for colour in colours for level in colour]
        mask.putpalette(levels + [0] * (3 * _PALETTE - len(levels)))  # with fewer, Pillow writes fewer bits
    mask.save(path)


def write_files(
    folder: Path,
    name: str,
    table: ClassTable,
    pairs: list[tuple[str, str]],
    leaves: Sequence[Leaf],
    links: dict[str, Path],
    command: str,
) -> None:
    """Write all but masks that are made anew.

    Args:
        folder: exists, and is empty but for such masks.
        name: of the dataset.
        table: its classes.
        pairs: image and mask, below their folders.
        leaves: the methods' configs.
        links: names in the folder, and the folders that they lead to.
        command: how this was made, for the file's first line.

    Raises:
        ValueError: a file name that cannot be listed.
    """
    for link, target in links.items():
        (folder / link).symlink_to(target.resolve(), target_is_directory=True)
    write_pairs(pairs, folder / PAIRS)
    (folder / "_base_").mkdir()
    for own, packaged in _BASE.items():
        (folder / "_base_" / own).write_text(base_text(packaged), encoding="utf-8")
    (folder / DATASET).write_text(dataset_text(name, table, command), encoding="utf-8")
    for leaf in leaves:
        (folder / leaf.name).write_text(leaf.text, encoding="utf-8")


def dataset_text(name: str, table: ClassTable, command: str) -> str:
    """The dataset's part of all configs."""
    ignored = (table.ignored[0] if table.ignored else None) if table.is_plain else table.void
    head = {"prob_threshold": _THRESHOLD} if table.background else {}
    threshold = "".join(f", {key}={value}" for key, value in head.items())
    facts = f"metainfo=dict(classes=classes, ignore_index={ignored}{', palette=palette' if table.palette else ''}),"
    lines = [
        f"# {name}, made by: {one_line(command)}",
        "# These settings are explained in docs/own_data.md of mmseg_tfovss.",
        '_base_ = ["_base_/loader.py", "_base_/runtime.py"]',
        f"dataset = {written(name)}",
        "# Names in results, in the order of the labels.",
        f"classes = {_column(table.names)}",
        "# What CLIP reads: one text per class, in the same order; synonyms are separated by commas.",
        f"words = {_column(entries_of(table.queries))}",
        *([f"palette = {_column(table.palette)}"] if table.palette else []),
        f"unified = dict(model=dict(decode_head=dict(vocabulary=words{threshold})))",
        "test_dataloader = dict(",
        "    dataset=dict(",
        '        type="ListedDataset",',
        '        data_root="{{ fileDirname }}",',
        f"        ann_file={written(PAIRS)},",
        f"        data_prefix=dict(img_path={written(IMAGES)}, seg_map_path={written(MASKS)}),",
        f"        {facts}",
        "    ),",
        ")",
    ]
    return "\n".join([*lines, ""])


def _column(items: Sequence[object]) -> str:
    return "[\n" + "".join(f"    {written(item)},\n" for item in items) + "]"
