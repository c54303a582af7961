"""Where official data are on this machine: archives, or what people have unpacked of them."""

import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from mmseg_tfovss.prepare.archives import folder_file, list_folder, member_names
from mmseg_tfovss.prepare.download import Archive, download, find_archive
from mmseg_tfovss.prepare.layout import Layout

_DEPTH = 6  # levels below a folder that are searched
_MOST_FOLDERS = 20_000  # that are looked into, so that somebody's home folder is no trap


def find_source(archive: Archive, archives: Path, made: Path, *, fetch: bool) -> Path:
    """Find an archive, or a folder that it was unpacked to.

    Args:
        archive: what is looked for.
        archives: folder of archives or unpacked data, some levels deep.
        made: folder of the dataset that is being made, which may hold the official data.
        fetch: download it if it is not in ``archives``.

    Returns:
        An archive, or a folder.

    Raises:
        FileNotFoundError: it is missing; the message says how to get it.
        ValueError: what was downloaded is not the official file.
        OSError: the download failed.
    """
    if (archives / archive.name).is_file():
        return find_archive(archive, archives)
    found = _find_file(archive, archives) or find_unpacked(archive, archives)
    if found is None and fetch and archive.url is not None:
        return download(archive, archives)
    found = found or find_unpacked(archive, made)
    if found is not None:
        return found
    empty = next((folder for top in (archives, made) for folder in _named(archive, top)), None)
    try:
        return find_archive(archive, archives)
    except FileNotFoundError as error:
        if empty is None:
            raise
        message = f"{str(error).removesuffix('.')}; {empty} is there, but has no files like {archive.files}."
        raise FileNotFoundError(message) from None


def find_unpacked(archive: Archive, top: Path) -> Path | None:
    """The nearest folder, in or below another or that one itself, with the name and files of an unpacked archive."""
    return next((folder for folder in _named(archive, top) if _holds(folder, re.compile(archive.files))), None)


def _named(archive: Archive, top: Path) -> Iterator[Path]:
    """The folders that are called as the archive unpacks, whatever they hold."""
    tail = Path(archive.folder).parts
    return (folder for folder in _folders(top) if tail and folder.parts[-len(tail) :] == tail)


def _holds(folder: Path, files: re.Pattern[str]) -> bool:
    paths = (folder_file(folder, name).relative_to(folder) for name in member_names(folder))
    return any(files.fullmatch(path.as_posix()) for path in paths)


def find_prepared(layout: Layout, top: Path, images: int | None) -> Path | None:
    """The root of a benchmark that is prepared in a folder, or in one of its subfolders.

    Args:
        layout: of the benchmark.
        top: a root, the dataset's folder in it, or the folder of either.
        images: how many there must be; None: any number but zero.
    """
    tail = Path(layout.folder).parts
    for folder in _folders(top, depth=1):
        roots = [folder, *([folder.parents[len(tail) - 1]] if folder.parts[-len(tail) :] == tail else [])]
        for root in roots:
            if layout.complete(root, images):
                return root
    return None


def _find_file(archive: Archive, top: Path) -> Path | None:
    """The archive itself, some levels deeper."""
    files = (folder / archive.name for folder in _folders(top, depth=2))
    return next((file for file in files if file.is_file()), None)


def _folders(top: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """A folder and those below it, level by level; absolute, with the names that symbolic links give them."""
    return islice(_levels(top.absolute(), depth), _MOST_FOLDERS)


def _levels(top: Path, depth: int) -> Iterator[Path]:
    waiting = deque([(top, 0)] if top.is_dir() else [])
    while waiting:
        folder, level = waiting.popleft()
        yield folder
        if level < depth:
            waiting.extend((child, level + 1) for child in _subfolders(folder))


def _subfolders(folder: Path) -> list[Path]:
    try:
        return [child for child in list_folder(folder)[0] if child.name[0] != "."]
    except OSError:  # what must not be read is not what is looked for
        return []
