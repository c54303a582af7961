"""What a dataset is: the names and contents of its files, image by image, wherever it lies."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_tfovss.engine.contents import Content, have_changed, read_contents

_FILES = ("img_path", "seg_map_path")  # every sample's; a dataset of the user's own may have more
_ENDING = "_path"
_NUMBER = "sample_idx"  # MMEngine's; the order of the samples says the same


@dataclass(frozen=True)
class DatasetFiles:
    """Which files a dataset's samples have, and what those hold.

    Attributes:
        root: the dataset's folder; names of files are relative to it.
        samples: one mapping per sample, in the dataset's order: its files, by the sample's key.
        facts: one text per sample: what else the dataset says of it.
        contents: of every file.
        lists: contents of the files in which the dataset's samples are listed.
    """

    root: Path
    samples: Sequence[Mapping[str, Path]]
    facts: Sequence[str]
    contents: Mapping[Path, Content]
    lists: Sequence[str] = ()

    @cached_property
    def lines(self) -> list[str]:
        """One text per sample; equal texts mean equal samples."""
        return [self._line(files, facts) for files, facts in zip(self.samples, self.facts, strict=True)]

    @cached_property
    def hash(self) -> str:
        """sha256 of all of it."""
        return hashlib.sha256("".join([*self.lists, *self.lines]).encode(errors="surrogateescape")).hexdigest()

    def batch_hashes(self, batch_size: int) -> np.ndarray:
        """The same of each batch of successive images, cut to 8 bytes: (batches,) uint64."""
        starts = range(0, len(self.lines), batch_size)
        batches = ("".join(self.lines[start : start + batch_size]) for start in starts)
        hashes = (hashlib.sha256(batch.encode(errors="surrogateescape")).hexdigest() for batch in batches)
        return np.array([int(found[:16], 16) for found in hashes], np.uint64)

    def changed(self, numbers: Iterable[int]) -> list[Path]:
        """Files of some samples that do not hold any more what they held; cheap where none was touched."""
        paths = {path: self.contents[path] for number in numbers for path in self.samples[number].values()}
        return have_changed(paths, self.root)

    def _line(self, files: Mapping[str, Path], facts: str) -> str:
        named = [f"{key} {os.path.relpath(path, self.root)} {self.contents[path].hash}" for key, path in files.items()]
        return "\n".join([*named, facts, ""])


def dataset_files(dataset: Any) -> DatasetFiles:  # noqa: ANN401 - MMEngine's BaseDataset, or whatever has its samples
    """The files of every image, and what they hold; those are read that have changed since they were read last.

    Args:
        dataset: its ``get_data_info`` gives a sample's ``img_path`` and ``seg_map_path``. Further files, under keys
            that end in ``_path``, count too, and so do the other entries, and the dataset's ``ann_file``. Names are
            relative to its ``data_root``, or, without one, to the folder that all of its files are in.

    Raises:
        FileNotFoundError: a file does not exist.
        OSError: a file cannot be read.
        ValueError: a file keeps changing while it is read.
    """
    samples = [dict(dataset.get_data_info(number)) for number in range(len(dataset))]
    files = [_files_of(sample) for sample in samples]
    root = _root(dataset, {path.parent for found in files for path in found.values()})
    facts = [_facts(sample, found, root) for sample, found in zip(samples, files, strict=True)]
    contents = read_contents((path for found in files for path in found.values()), root)
    return DatasetFiles(root, files, facts, contents, list_hashes(dataset))


def told(paths: Sequence[Path]) -> str:
    """Subject and verb of a sentence on files: ``a.png has``, ``a.png and 2 more have``."""
    return f"{paths[0]} and {len(paths) - 1} more have" if len(paths) > 1 else f"{paths[0]} has"


def dataset_hash(dataset: Any) -> str:  # noqa: ANN401
    """sha256 of what :func:`dataset_files` finds, wherever the dataset lies."""
    return dataset_files(dataset).hash


def list_hashes(dataset: Any) -> list[str]:  # noqa: ANN401
    """What the files hold in which a dataset, or each of several in one, lists its samples."""
    parts = getattr(dataset, "datasets", None) or [getattr(dataset, "dataset", None)]
    inner = [found for part in parts if part is not None for found in list_hashes(part)]
    path = getattr(dataset, "ann_file", None)
    if not isinstance(path, str | Path) or not path or not Path(path).is_file():
        return inner
    return [read_contents([Path(path)], Path(path).parent)[Path(path)].hash, *inner]


def _files_of(sample: Mapping[str, Any]) -> dict[str, Path]:
    named = {key: value for key, value in sample.items() if key.endswith(_ENDING) and isinstance(value, str | Path)}
    return {key: Path(path) for key, path in sorted(named.items()) if key in _FILES or Path(path).is_file()}


def _root(dataset: Any, folders: Iterable[Path]) -> Path:  # noqa: ANN401
    root = getattr(dataset, "data_root", None)
    absolute = [path.absolute() for path in folders]
    return Path(root) if root else Path(os.path.commonpath(absolute)) if absolute else Path()


def _facts(sample: Mapping[str, Any], files: Mapping[str, Path], root: Path) -> str:
    """What the dataset says of a sample besides its files, e.g. which labels it changes."""
    rest = {str(key): value for key, value in sample.items() if key != _NUMBER and key not in files}
    return json.dumps(_plain(rest, str(root.absolute())), sort_keys=True)


def _plain(value: object, root: str) -> object:
    """The same in JSON's terms, and wherever the dataset lies."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, root) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, root) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, np.ndarray):
        return [str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, str | Path):
        text = str(value)
        return os.path.relpath(text, root) if text.startswith(f"{root}{os.sep}") else text
    if isinstance(value, int | float | None):
        return value
    return type(value).__name__  # an object's text may hold its address
