"""What an unfinished run has counted so far, in files that survive any interruption."""

import hashlib
import json
import logging
import math
import os
import re
import shutil
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_tfovss.cli import sentence
from mmseg_tfovss.engine.identity import differences, settings_in
from mmseg_tfovss.whole_file import whole_file

STATE_NAME = "state"
_ARRAYS = ("batches", "files", "confusion")
_LARGEST = 4 << 30  # bytes of an array: one that says more is no count
_FILE = re.compile(r"(\d{4,})-(\d{4,})(\.previous)?\.npz")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """What one process has counted in one session, which is the time from a start or a resumption to the next end.

    Attributes:
        session: 0, 1, ...
        process: 0, 1, ...; the first process's part includes all earlier sessions.
        identity: what must be the same in all sessions, by name; see :func:`mmseg_tfovss.engine.identity.run_identity`.
        batches: (N,) int64, numbers of the batches that are counted.
        files: (N,) uint64, what their images' files were; see :func:`mmseg_tfovss.engine.identity.batch_hashes`.
        confusion: (C, C) int64, see :func:`mmseg_tfovss.evaluation.scores.confusion_counts`.
        images: in those batches.
        seconds: of this session.
        earlier_seconds: of the earlier sessions that are included.
        peak_memory_mb: the most so far.
        devices: names of those used so far.
    """

    session: int
    process: int
    identity: Mapping[str, str]
    batches: np.ndarray
    files: np.ndarray
    confusion: np.ndarray
    images: int = 0
    seconds: float = 0.0
    earlier_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    devices: Sequence[str] = field(default=())


class StateFolder:
    """The folder ``state`` in a run's folder: for each session and process the last part, and the one before it.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / STATE_NAME

    def begin(
        self,
        identity: Mapping[str, str],
        files: np.ndarray,
        num_classes: int,
        *,
        resume: bool,
        restart_changed: bool = False,
    ) -> Part:
        """Start a session: the first process calls this, once.

        Args:
            identity: of the run that is asked for.
            files: (batches,) uint64, of all batches now; those that are counted already may not have changed.
            num_classes: C.
            resume: go on from what is there; otherwise it is renamed (``state.1``), and nothing is lost.
            restart_changed: rename it, too, if it belongs to another run, instead of raising.

        Returns:
            The first process's part with everything that earlier sessions have counted; it has been written.

        Raises:
            ValueError: what is there belongs to another run; the differences are named.
            OSError: the folder cannot be written.
        """
        if not resume:
            self._set_aside("--resume would have gone on")
        found = self._parts()
        changes = next(filter(None, (_changes(part, identity, files, num_classes) for part in found)), None)
        if changes and not restart_changed:
            raise ValueError(
                f"The unfinished run in {self.path} cannot be resumed, because it is not this one: {changes}. Undo the"
                " change, or start over with --restart-changed (the old state is kept under another name)."
            )
        if changes:
            self._set_aside(f"it was another one: {changes}")
            found = []
        part = _merge(found, self._next_session(), identity, files, num_classes)
        self.write(part)
        half = self.path.glob(".*.npz")  # written by a process that was killed
        old = (path for path, session, _ in self._files() if session < part.session - 1)
        for path in (*half, *old):
            with suppress(OSError):  # it is of no use, and in nobody's way
                path.unlink()
        return part

    def write(self, part: Part) -> None:
        """Write a part; the last one of this session and process becomes its predecessor.

        Raises:
            OSError: the disk is full, or the folder cannot be written; the parts that are there stay.
        """
        facts = {name: value for name, value in vars(part).items() if name not in _ARRAYS}
        arrays = {"facts": np.frombuffer(json.dumps(facts, default=dict).encode(), np.uint8)}
        arrays |= {name: getattr(part, name) for name in _ARRAYS}
        path = self.path / f"{part.session:04d}-{part.process:04d}.npz"
        with whole_file(path) as scratch:
            with scratch.open("wb") as file:
                np.savez_compressed(file, checksum=_checksum(arrays), **arrays)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            if path.exists():
                path.replace(path.with_suffix(".previous.npz"))

    def is_all_of(self, settings: Mapping[str, str], code: str, images: int) -> bool:
        """Whether what is counted is a whole run, of these settings, code and number of images."""
        parts = _disjoint(self._parts())
        same = all(settings_in(part.identity) == settings and part.identity.get("the code") == code for part in parts)
        return same and sum(part.images for part in parts) == images

    def forget(self) -> None:
        """Remove everything: the result has been written."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _files(self) -> list[tuple[Path, int, str]]:
        """Files of parts, with their session and the name that a part shares with its predecessor."""
        paths = sorted(self.path.glob("*.npz")) if self.path.is_dir() else []
        found = [(path, _FILE.fullmatch(path.name)) for path in paths]
        return [(path, int(match[1]), f"{match[1]}-{match[2]}") for path, match in found if match]

    def _next_session(self) -> int:
        return max((session for _, session, _ in self._files()), default=-1) + 1

    def _parts(self) -> list[Part]:
        """The last part of each session and process that can be read."""
        parts = []
        for name in sorted({name for _, _, name in self._files()}):
            paths = [self.path / f"{name}{suffix}" for suffix in (".npz", ".previous.npz")]
            part = next((part for part in map(_read, filter(Path.exists, paths)) if part), None)
            if part:
                parts.append(part)
        return parts

    def _set_aside(self, reason: str) -> None:
        if not self.path.exists():
            return
        parts = self._parts()
        readable = len(parts) == len({name for _, _, name in self._files()})
        if readable and not any(len(part.batches) for part in parts):
            self.forget()
            return
        number = 1
        while (kept := self.path.with_name(f"{STATE_NAME}.{number}")).exists():
            number += 1
        self.path.rename(kept)
        _logger.warning("warning: an unfinished run was there; it is kept as %s (%s).", kept, reason)


def _read(path: Path) -> Part | None:
    """A part as it was written, or None and a warning: whatever is not that cannot be counted."""
    try:
        arrays = _load(path)
        if not np.array_equal(arrays.pop("checksum"), _checksum(arrays)):
            raise ValueError("its content is not what was written")
        facts: dict[str, Any] = json.loads(arrays.pop("facts").tobytes())
        part = Part(**{**facts, **arrays})
        _check(part)
    except Exception as error:  # damaged bytes fail in as many ways as there are formats in formats
        _logger.warning(
            "warning: %s is damaged (%s): the previous state is used, or its images are counted again.",
            path,
            sentence(error),
        )
        return None
    return part


def _load(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file, after a look at their sizes: a damaged one may claim to fill the memory."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                shape, _, kind = reader[version](file)
                size = math.prod(shape) * kind.itemsize
                if size > _LARGEST or file.tell() + size != member.file_size:
                    raise ValueError(f"{member.filename} has another size than it says")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("checksum", "facts", *_ARRAYS)}


def _checksum(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """sha256 of arrays, their kinds and shapes: (32,) uint8."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape} ".encode() + array.tobytes())
    return np.frombuffer(digest.digest(), np.uint8)


def _check(part: Part) -> None:
    """Refuse what cannot be added up."""
    batches, confusion = part.batches, part.confusion
    kinds = [array.dtype for array in (batches, part.files, confusion)]
    known = len({*batches.tolist()}) == len(batches) == len(part.files) and (batches >= 0).all()
    square = confusion.ndim == 2 and confusion.shape[0] == confusion.shape[1] and (confusion >= 0).all()
    if kinds != [np.int64, np.uint64, np.int64] or batches.ndim != 1 or part.files.ndim != 1 or not (known and square):
        raise ValueError("its counts cannot be added to others")
    counts, measures = (part.session, part.process, part.images), (part.seconds, part.earlier_seconds)
    numbers = all(isinstance(number, int) for number in counts) and isinstance(part.identity, Mapping)
    numbers = numbers and all(0 <= number < math.inf for number in (*counts, *measures, part.peak_memory_mb))
    if not numbers or not all(isinstance(text, str) for text in (*part.identity.values(), *part.devices)):
        raise ValueError("its facts are not those of a run")


def _changes(part: Part, identity: Mapping[str, str], files: np.ndarray, num_classes: int) -> str:
    """Why a part does not belong to a run; empty if it does, or holds nothing."""
    if not len(part.batches):
        return ""
    told = differences(part.identity, identity)
    if not told and len(part.confusion) != num_classes:
        return f"it has {len(part.confusion)} classes"
    if told or part.batches.max() >= len(files):
        return told or "it has more batches"
    changed = int((files[part.batches] != part.files).sum())
    return f"files of the dataset have changed in {changed} of the batches that are counted" if changed else ""


def _disjoint(parts: Sequence[Part]) -> list[Part]:
    """Newer parts first, so that an older one whose batches they include is left out."""
    kept: list[Part] = []
    counted: set[int] = set()
    for part in sorted(parts, key=lambda part: (-part.session, part.process)):
        if counted.isdisjoint(part.batches.tolist()):
            counted.update(part.batches.tolist())
            kept.append(part)
    return kept


def _merge(
    parts: Sequence[Part], session: int, identity: Mapping[str, str], files: np.ndarray, num_classes: int
) -> Part:
    """All that is counted once."""
    kept = _disjoint(parts)
    seconds: dict[int, float] = defaultdict(float)  # processes of one session worked at the same time
    for part in kept:
        seconds[part.session] = max(seconds[part.session], part.seconds)
    batches = np.array(sorted(batch for part in kept for batch in part.batches.tolist()), np.int64)
    return Part(
        session=session,
        process=0,
        identity=identity,
        batches=batches,
        files=files[batches],
        confusion=sum((part.confusion for part in kept), np.zeros((num_classes, num_classes), np.int64)),
        images=sum(part.images for part in kept),
        earlier_seconds=sum(seconds.values()) + sum(part.earlier_seconds for part in kept),
        peak_memory_mb=max((part.peak_memory_mb for part in kept), default=0.0),
        devices=sorted({name for part in kept for name in part.devices}),
    )
