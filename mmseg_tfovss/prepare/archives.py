"""Read the files in tar and zip archives, or in a folder, one after another, without unpacking anything to disk."""

import errno
import gzip
import os
import posixpath
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

from rich.filesize import decimal

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")  # the second is that of an empty one
_GZIP_START = b"\x1f\x8b"
_ENCRYPTED = 0x1  # bit of a zip member's flags
LARGEST_FILE = 256 << 20  # bytes; the largest official photograph has some 20 MB
LARGEST_TAR = (
    16 << 30
)  # bytes of an unpacked tar.gz, which must be read to the end; the official one has less than 4 GB
_LARGEST_HEADER = 16 << 20  # bytes that tarfile reads at once: long names and other notes on the next member
_LONGEST_LINK = 4096
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others do not stop where they are told to
# What the readers raise for bytes that make no sense; a NotImplementedError is an unknown kind of zip compression.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
    RecursionError,
    LookupError,
    NotImplementedError,
)


@dataclass(frozen=True)
class _Member:
    """A member of either kind of archive.

    Attributes:
        name: as the archive has it.
        size: of its content, in bytes, as the archive says; 0 in a folder, where to ask for it takes time.
        read: gives the content of a regular file, and is None for folders and links.
        link: where a link points to, relative to the archive's root and not yet normalised.
        trouble: why the member cannot be accepted, whatever its name.
    """

    name: str
    size: int = 0
    read: Callable[[], bytes] | None = None
    link: str | None = None
    trouble: str = ""


class _Tape:
    """A binary file that remembers what was read last: tarfile takes a broken header for the end of the archive."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        self._file = file
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_HEADER:
            raise tarfile.ReadError(f"a note on a member has {size} bytes")
        self.last = self._file.read(size)
        return self.last

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def member_names(path: Path) -> list[str]:
    """List the regular files in an archive, or in and below a folder.

    Args:
        path: tar, tar.gz or zip archive, whatever its suffix; or a folder.

    Returns:
        Names with ``/``, without a leading ``./``, in the archive's order; without what macOS adds (``__MACOSX/``,
        ``._*``, ``.DS_Store``). Those of a folder begin with the last two parts of its
        own path, because an archive would have packed them too.

    Raises:
        FileNotFoundError: no such archive.
        ValueError: not an archive, damaged, encrypted, or with a member that points out of the archive.
    """
    return [_tidy(member.name) for member in _files(path)]


def read_members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Read some files of an archive in one pass, one at a time.

    A content is never cut short. But a tar.gz has its checksum at its end, and a tar has none: wrong bytes in them may
    have been given out before the damage is noticed.

    Args:
        path: tar, tar.gz or zip archive, whatever its suffix; or a folder.
        wanted: whether a file shall be read, given its name as `member_names` lists it.

    Yields:
        Name and content, in the archive's order.

    Raises:
        FileNotFoundError: no such archive.
        ValueError: not an archive, damaged, encrypted, with a member that points out of the archive, or with a wanted
            file larger than `LARGEST_FILE`.
    """
    for member in _files(path):
        name = _tidy(member.name)
        if member.read is not None and wanted(name):
            size = folder_file(path, name).stat().st_size if path.is_dir() else member.size
            if size > LARGEST_FILE:
                raise ValueError(
                    f"{path} is refused: its member {member.name!r} has {decimal(size)}, but no official file"
                    f" has more than {decimal(LARGEST_FILE)}."
                )
            with _damage_named(path):
                content = member.read()
            yield name, content


def folder_file(folder: Path, name: str) -> Path:
    """The path of a file in a folder, given its name as `member_names` lists it; absolute."""
    return folder.absolute() / name.removeprefix(_prefix(folder))


def list_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders and the files in a folder, also as links, in alphabetical order.

    A pipe is no file, for who reads it waits for somebody; nor is a link to nothing or to itself.

    Raises:
        OSError: the folder cannot be read.
    """
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    folders = [Path(entry.path) for entry in entries if _leads_to(entry.is_dir)]
    return folders, [Path(entry.path) for entry in entries if _leads_to(entry.is_file)]


def _leads_to(is_kind: Callable[[], bool]) -> bool:
    try:
        return is_kind()
    except OSError:  # of a link to itself
        return False


def _files(path: Path) -> Iterator[_Member]:
    """The regular files of an archive whose members, as far as they were seen, are all harmless."""
    if path.is_dir():
        yield from (member for member in _walk_folder(path) if not _is_junk(member.name))
        return
    if not path.is_file():
        raise FileNotFoundError(f"The archive {path} does not exist.")
    for member in _walk(path):
        trouble = member.trouble or _name_trouble(member.name) or _link_trouble(member.link)
        if trouble:
            raise ValueError(f"The archive {path} is refused: its member {member.name!r} {trouble}.")
        if member.read is not None and not _is_junk(_tidy(member.name)):
            yield member


def _prefix(folder: Path) -> str:
    return "".join(f"{part}/" for part in folder.absolute().parts[1:][-2:])


def _walk_folder(folder: Path) -> Iterator[_Member]:
    """Also what symbolic links lead to, as people spread datasets over disks; but each folder only once."""
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        facts = place.stat()
        if (facts.st_dev, facts.st_ino) in seen:
            continue
        seen.add((facts.st_dev, facts.st_ino))
        folders, files = list_folder(place)
        waiting += reversed(folders)
        for file in files:
            yield _Member(_prefix(folder) + file.relative_to(folder).as_posix(), read=file.read_bytes)


def _walk(path: Path) -> Iterator[_Member]:
    with path.open("rb") as file:
        head = file.read(_BLOCK)
    with _damage_named(path):
        if head.startswith(_ZIP_STARTS):
            yield from _walk_zip(path)
        elif head.startswith(_GZIP_START):
            with gzip.open(path) as unpacked:
                yield from _walk_tar(unpacked, LARGEST_TAR)
        elif _is_tar_header(head):
            with path.open("rb") as file:
                yield from _walk_tar(file, path.stat().st_size)
        else:
            raise _NoArchiveError


class _NoArchiveError(Exception):
    """The file begins like none of the archives that are read here."""


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except _NoArchiveError:
        raise ValueError(f"{path} is not a tar, tar.gz or zip archive: delete it and download it again.") from None
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # that is a jump to nowhere
            raise
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ValueError(f"The archive {path} is damaged ({reason}): delete it and download it again.") from error


def _is_tar_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _walk_tar(file: IO[bytes] | gzip.GzipFile, largest: int) -> Iterator[_Member]:
    tape = _Tape(file)
    with tarfile.open(fileobj=tape, mode="r:") as tar:  # type: ignore[call-overload]
        end = -1
        while (info := tar.next()) is not None:
            # A size below zero leads back to what was read already, again and again.
            if info.size < 0 or not end < tar.offset:
                raise tarfile.ReadError("a member ends before it begins")
            end = tar.offset
            if end > largest:
                raise tarfile.ReadError(f"it would have more than {decimal(largest)}")
            yield _tar_member(tar, info)
            tar.members.clear()  # they would fill the memory
        if tape.last != bytes(_BLOCK):
            raise tarfile.ReadError("its end is missing")
        while tape.read(_CHUNK):  # up to the checksum of a gzip file
            end += len(tape.last)
            if end > largest:
                raise tarfile.ReadError(f"it would have more than {decimal(largest)}")


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    if info.isdev():
        return _Member(info.name, trouble="is a device or a pipe")
    if info.issym():
        return _Member(info.name, link=posixpath.join(posixpath.dirname(info.name), info.linkname))
    if info.islnk():
        return _Member(info.name, link=info.linkname)
    return _Member(info.name, info.size, read=partial(_read_tar, tar, info) if info.isreg() else None)


def _read_tar(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(info)
    content = b"" if file is None else _read_whole(file)
    if len(content) != info.size:
        raise tarfile.ReadError("unexpected end of data")
    return content


def _read_whole(file: IO[bytes]) -> bytes:
    """In steps, so that no library unpacks more at once than is taken."""
    return b"".join(iter(partial(file.read, _CHUNK), b""))


def _walk_zip(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        members = [_zip_member(archive, info) for info in archive.infolist()]
        # All are listed in one place, so that a bad one can be refused before the first file is read.
        yield from (replace(member, read=None) for member in members)
        yield from members


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    mode = info.external_attr >> 16
    if info.flag_bits & _ENCRYPTED:
        return _Member(info.filename, trouble="is encrypted")
    if info.compress_type not in _ZIP_METHODS:
        return _Member(info.filename, trouble="is compressed by another method than deflate")
    if stat.S_ISLNK(mode):
        if info.file_size > _LONGEST_LINK:
            return _Member(info.filename, trouble="is a link to a name without end")
        target = _read_zip(archive, info).decode(errors="surrogateescape")
        return _Member(info.filename, link=posixpath.join(posixpath.dirname(info.filename), target))
    if any(kind(mode) for kind in (stat.S_ISCHR, stat.S_ISBLK, stat.S_ISFIFO, stat.S_ISSOCK)):
        return _Member(info.filename, trouble="is a device or a pipe")
    return _Member(info.filename, info.file_size, read=None if info.is_dir() else partial(_read_zip, archive, info))


def _read_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as file:
        content = _read_whole(file)
    if len(content) != info.file_size:
        raise zipfile.BadZipFile(f"{info.filename!r} has another size than its list says")
    return content


def _name_trouble(name: str) -> str:
    if name.startswith("/") or "\\" in name or re.match("[A-Za-z]:", name):
        return "has an absolute path or a backslash in its name"
    if ".." in name.split("/"):
        return "has '..' in its path"
    return ""


def _link_trouble(link: str | None) -> str:
    if link is None:
        return ""
    if _name_trouble(posixpath.normpath(link)):
        return f"is a link that points out of the archive, to {link!r}"
    return ""


def _tidy(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _is_junk(name: str) -> bool:
    last = name.rsplit("/", maxsplit=1)[-1]
    return name.startswith("__MACOSX/") or last.startswith("._") or last == ".DS_Store"
