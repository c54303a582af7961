"""The Hugging Face hub: what of a repository is here, what it offers, and how it is fetched and checked."""

import errno
import hashlib
import json
import re
import shutil
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from rich.filesize import decimal

from mmseg_tfovss.downloads.needs import Need
from mmseg_tfovss.encoders.hub import hub_reachable, quiet

_SECONDS = 10.0  # that the hub may take to say what it has
_STALE = 3600.0  # seconds without a byte after which a half download belongs to no process
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
_SHA256, _SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Offer:
    """What the hub has for a need.

    Attributes:
        sizes: bytes by name of file; None: the hub does not say.
        licence: as the repository's card says, e.g. ``mit``; empty: it says none.
    """

    sizes: Mapping[str, int | None]
    licence: str

    @property
    def size(self) -> int | None:
        """Of all files; None where one is not known."""
        sizes = list(self.sizes.values())
        return None if None in sizes else sum(size or 0 for size in sizes)


def page(need: Need) -> str:
    """Address of a repository, for people."""
    return f"{constants.ENDPOINT}/{need.repository}"


def stored(need: Need) -> list[Path]:
    """The files of a need in the hub's cache; none unless they are complete. The network is not asked."""
    if need.first_only:
        paths = (huggingface_hub.try_to_load_from_cache(need.repository, name) for name in need.patterns)
        return [Path(path) for path in paths if isinstance(path, str)][:1]
    try:
        with quiet():
            found = huggingface_hub.snapshot_download(
                need.repository, allow_patterns=list(need.patterns), local_files_only=True
            )
    except (huggingface_hub.errors.HFValidationError, OSError):  # no id of the hub, nothing here, or not all of it
        return []
    folder = Path(found)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    wanted = [name for name in names if any(fnmatch(name, pattern) for pattern in need.patterns)]
    return [folder / name for name in wanted] if not _lacking(need, names) and _has_shards(folder) else []


def offer(need: Need) -> Offer:
    """Ask the hub which files it has for a need.

    Raises:
        OSError: it cannot be asked.
        FileNotFoundError: it does not have them.
    """
    if constants.HF_HUB_OFFLINE or not hub_reachable():
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "it cannot be reached"
        raise ConnectionError(_cannot(need, why))
    try:
        with quiet():
            info = huggingface_hub.HfApi().model_info(need.repository, files_metadata=True, timeout=_SECONDS)
    # The hub's client raises its own families of errors (connection, HTTP status, missing entry).
    except Exception as error:
        raise ConnectionError(_cannot(need, _reason(error))) from error
    sizes = {file.rfilename: file.size for file in info.siblings or ()}
    lacking = _lacking(need, sizes)
    if lacking:
        raise FileNotFoundError(_cannot(need, f"it has no {' or '.join(lacking)}"))
    chosen = [name for pattern in need.patterns for name in sizes if fnmatch(name, pattern)]
    licence = getattr(info.card_data, "license", None) or ""
    return Offer({name: sizes[name] for name in chosen[: 1 if need.first_only else None]}, str(licence))


def fetch(need: Need) -> list[Path]:
    """Bring the files of a need into the hub's cache, unless they are there, and compare them with their checksums.

    Returns:
        The files.

    Raises:
        OSError: the network or the hub cannot be reached, or the disk is full; no half file is left.
        ValueError: a file is not the one that the hub names: it is deleted.
    """
    if not stored(need):
        offered = offer(need)
        _remove_leftovers(need)
        _check_space(offered.size)
        try:
            with quiet(), _bars_on_terminals_only():
                huggingface_hub.snapshot_download(need.repository, allow_patterns=list(offered.sizes))
        except Exception as error:  # as above
            if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
                place = error.filename or constants.HF_HUB_CACHE
                raise OSError(error.errno, f"{error.strerror} (HF_HOME names another folder)", place) from error
            raise ConnectionError(_cannot(need, _reason(error))) from error
    paths = stored(need)
    if not paths:
        raise FileNotFoundError(_cannot(need, "it lacks parts of its files"))
    for path in paths:
        _check(path, need)
    return paths


def has_checksum(path: Path) -> bool:
    """Whether a file's checksum is its name in the hub's cache, which it is where the file system has links."""
    name = path.resolve().name
    return bool(_SHA256.fullmatch(name) or _SHA1.fullmatch(name))


def _cannot(need: Need, why: str) -> str:
    what, where = (need.patterns[0], "it") if need.first_only else ("its files", "the folder")
    into = "" if need.first_only else " into one folder"
    return (
        f"{need.name} cannot be fetched from {page(need)} ({why}): on a machine with network access, download {what}"
        f" from https://huggingface.co/{need.repository}{into}, bring it here and set {need.option} to {where}; or run"
        " tfovss download there, and copy its caches here."
    )


def _reason(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0].rstrip(".:")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _lacking(need: Need, names: Collection[str]) -> tuple[str, ...]:
    """The first group of required names of which there is none."""
    there = set(names)
    return next((group for group in need.required if not there & set(group)), ())


def _has_shards(folder: Path) -> bool:
    """Whether the parts are there of every file that is stored in parts."""
    parts = (json.loads(index.read_text())["weight_map"].values() for index in folder.glob("*.index.json"))
    return all((folder / name).is_file() for names in parts for name in names)


def _check_space(size: int | None) -> None:
    cache = Path(constants.HF_HUB_CACHE)
    folder = next(parent for parent in (cache, *cache.absolute().parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    if size is not None and size > free:
        needed = f"not enough disk space: {decimal(size)} are needed, {decimal(free)} are free"
        raise OSError(errno.ENOSPC, f"{needed}; set HF_HOME to a folder with more", str(cache))


def _remove_leftovers(need: Need) -> None:
    """Remove what a killed process has left: the hub's client begins every download anew."""
    folder = Path(constants.HF_HUB_CACHE) / f"models--{need.repository.replace('/', '--')}" / "blobs"
    for part in folder.glob("*.incomplete"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _STALE:
                part.unlink()


def _check(path: Path, need: Need) -> None:
    """Compare a file with its checksum, where that is known."""
    blob = path.resolve()
    if not has_checksum(path):
        return
    if _SHA256.fullmatch(blob.name):
        with blob.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    else:  # of small files: git's
        content = blob.read_bytes()
        found = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    if found != blob.name:
        path.unlink()
        blob.unlink()
        raise ValueError(
            f"{path.name} of {need.name} is damaged: its checksum is {found}, but {page(need)} says {blob.name}. It was"
            " deleted: run the command again to fetch it."
        )


@contextmanager
def _bars_on_terminals_only() -> Iterator[None]:
    """Progress bars are unreadable in a log."""
    bars = huggingface_hub.utils
    if sys.stderr.isatty() or bars.are_progress_bars_disabled():
        yield
        return
    bars.disable_progress_bars()
    try:
        yield
    finally:
        bars.enable_progress_bars()
