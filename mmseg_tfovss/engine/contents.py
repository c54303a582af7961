"""What files hold: sha256 of each, read once and from then on known by its size, times and place on the disk.

A file is read again when its size, modification time, change time, inode or device is another one. The system sets the
change time itself, so that a change in place is seen also where a program restores the modification time.
"""

import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmengine.dist import is_main_process

from mmseg_tfovss.vocabulary.features import cache_folder
from mmseg_tfovss.whole_file import whole_file

_FORMAT = 1
_FRESH = 2.0  # seconds: within the tick of a clock, a second change would leave the times as they are
_TRIES = 3  # to read a file that somebody writes to
_THREADS = 8  # more than cores: disks answer several questions at once
_QUIET = 3.0  # seconds without a line of progress
_MOST_FILES = 200_000  # remembered of one folder ...
_MOST_BYTES = 256 << 20  # ... and of all of them
_known: dict[str, "Content"] = {}  # in this process, by absolute path
_told: set[str] = set()  # warnings
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        hash: sha256, as hexadecimal digits.
        stamp: size, times and place by which it is known again.
        settled: whether it was last changed so long before it was read that any later change shows in the stamp.
    """

    hash: str
    stamp: str
    settled: bool


def read_contents(paths: Iterable[Path], folder: Path) -> dict[Path, Content]:
    """What files hold; only those are read that have changed since they were read last.

    What is found out is kept in the user's cache folder. A damaged cache costs time, and one that cannot be written a
    warning.

    Args:
        paths: the files; symbolic links are followed.
        folder: where they lie: files with one ``folder`` share a file of the cache.

    Returns:
        The content of each.

    Raises:
        FileNotFoundError: a file does not exist.
        OSError: it cannot be read.
        ValueError: it keeps changing while it is read.
    """
    wanted = list(dict.fromkeys(paths))
    names = {path: os.path.abspath(path) for path in wanted}  # noqa: PTH100 - a link's own name, not its target's
    stamps = {path: _stamp(path) for path in wanted}
    unknown = [path for path in wanted if not _is_known(names[path], stamps[path])]
    if unknown:
        _known.update(_stored(folder))
        unknown = [path for path in unknown if not _is_known(names[path], stamps[path])]
    read = dict(_read_all(unknown, folder))
    settled = {names[path]: content for path, content in read.items() if content.settled}
    if settled:
        _known.update(settled)
        _store(folder, settled)
    return {path: read[path] if path in read else _known[names[path]] for path in wanted}


def have_changed(contents: Mapping[Path, Content], folder: Path) -> list[Path]:
    """Files that do not hold any more what they held, or that are gone.

    Args:
        contents: what they held, of :func:`read_contents`.
        folder: likewise.
    """
    gone: list[Path] = []
    doubtful: list[Path] = []
    for path, content in contents.items():
        try:
            if _stamp(path) != content.stamp or not content.settled:
                doubtful.append(path)
        except OSError:
            gone.append(path)
    return [*gone, *(path for path in doubtful if _hash_now(path, folder) != contents[path].hash)]


def fingerprints(paths: Iterable[str | Path]) -> dict[str, str]:
    """What files hold, and folders with all that lies below them, by path; ``absent`` where there is nothing.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file keeps changing while it is read.
    """
    return {str(path): _fingerprint(Path(path)) for path in sorted({str(path) for path in paths})}


def _hash_now(path: Path, folder: Path) -> str | None:
    try:
        return read_contents([path], folder)[path].hash
    except (OSError, ValueError):  # gone, or somebody is still writing
        return None


def _fingerprint(path: Path) -> str:
    if not path.is_dir():
        return read_contents([path], path.parent)[path].hash if path.is_file() else "absent"
    files = sorted(_files_below(path))
    found = read_contents(files, path)
    lines = [f"{file.relative_to(path).as_posix()} {found[file].hash}" for file in files]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _files_below(folder: Path) -> Iterator[Path]:
    """Every file, also behind links to folders; not twice where those make a circle."""
    seen: set[Path] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        here = Path(parent)
        seen.add(here.resolve())
        folders[:] = [name for name in folders if (here / name).resolve() not in seen]
        yield from (here / name for name in names if (here / name).is_file())


def _stamp(path: Path) -> str:
    facts = path.stat()
    numbers = (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_dev)
    return " ".join(map(str, numbers))


def _is_known(name: str, stamp: str) -> bool:
    return name in _known and _known[name].stamp == stamp


def _read_all(paths: Sequence[Path], folder: Path) -> Iterator[tuple[Path, Content]]:
    """Read files in threads, and say so when it takes long."""
    if len(paths) < 2:
        yield from ((path, _read(path)) for path in paths)
        return
    last = time.monotonic()
    with ThreadPoolExecutor(_THREADS) as pool:
        jobs = {pool.submit(_read, path): path for path in paths}
        try:
            for number, job in enumerate(as_completed(jobs), start=1):
                yield jobs[job], job.result()
                if time.monotonic() - last > _QUIET and is_main_process():
                    last = time.monotonic()
                    sys.stderr.write(f"reading {folder} to know it again: {number}/{len(paths)} files\n")
                    sys.stderr.flush()
        finally:
            pool.shutdown(cancel_futures=True)


def _read(path: Path) -> Content:
    for _ in range(_TRIES):
        began, stamp = time.time(), _stamp(path)
        with path.open("rb", buffering=0) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if _stamp(path) == stamp:
            return Content(found, stamp, began - path.stat().st_ctime >= _FRESH)
    raise ValueError(f"{path} keeps changing while it is read: wait until nothing writes to it.")


def _cache_file(folder: Path) -> Path:
    """The device is in the name: machines that share a home number the devices of one file server differently."""
    place = f"{folder.resolve()} {folder.stat().st_dev}"
    return cache_folder() / "contents" / f"{hashlib.sha256(place.encode(errors='surrogateescape')).hexdigest()}.json"


def _stored(folder: Path) -> dict[str, Content]:
    """What the cache knows of a folder's files; nothing if it is damaged."""
    try:
        checksum, text = _cache_file(folder).read_text(encoding="utf-8").split("\n", maxsplit=1)
        if checksum != _checksum(text):
            return {}
        return {name: Content(found, stamp, True) for name, (stamp, found) in json.loads(text).items()}
    except (OSError, ValueError, TypeError, AttributeError, RuntimeError):  # RuntimeError: a user without a home
        return {}


def _store(folder: Path, contents: Mapping[str, Content]) -> None:
    try:
        path = _cache_file(folder)
        kept = _stored(folder)  # again: another process may have written meanwhile
        for name, content in contents.items():
            kept.pop(name, None)  # the newest come last
            kept[name] = content
        newest = list(kept.items())[-_MOST_FILES:]
        text = json.dumps({name: (content.stamp, content.hash) for name, content in newest})
        with whole_file(path) as scratch:
            scratch.write_text(f"{_checksum(text)}\n{text}", encoding="utf-8")
        _remove_oldest(path.parent)
    except (OSError, RuntimeError) as error:
        if str(error) not in _told:
            _told.add(str(error))
            _logger.warning("warning: what files hold could not be cached, and is read again next time: %s", error)


def _remove_oldest(folder: Path) -> None:
    room = _MOST_BYTES
    found = []
    for path in folder.glob("*.json"):
        with suppress(OSError):  # another process has removed it
            facts = path.stat()
            found.append((facts.st_mtime_ns, facts.st_size, path))
    for _, size, path in sorted(found, reverse=True):
        room -= size
        if room < 0:
            path.unlink(missing_ok=True)


def _checksum(text: str) -> str:
    return hashlib.sha256(f"{_FORMAT} {text}".encode()).hexdigest()
