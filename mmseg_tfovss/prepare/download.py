"""Find the official archives of a dataset, or download them so that a cut connection costs nothing."""

import errno
import hashlib
import http
import http.client
import logging
import re
import shutil
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from functools import partial
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from mmseg_tfovss._version import __version__

_logger = logging.getLogger(__name__)
_WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds until the next attempt, by the attempts in a row without a new byte
_TIMEOUT = 60.0  # seconds without a byte, then the connection counts as cut
_CHUNK = 1 << 16
_RANGE_REFUSED = 416
_LENGTH = "length:"  # before the number, in a note on a file without a validator
_SAMPLE = 1 << 16  # bytes at the beginning and at the end of a part that are compared with the server's
_SOON_BETTER = (429, 500, 502, 503, 504)  # HTTP statuses of a server that is busy or restarting


@dataclass(frozen=True)
class Archive:
    """An official file of a dataset.

    Attributes:
        name: of the file in the archives' folder.
        page: web page for people: licence, registration.
        url: where the file is; None if its download needs an account.
        size: in bytes, if known.
        checksum: ``md5:<hex>`` or ``sha256:<hex>``, if known.
        folder: end of the path of the folder that holds its files when it is unpacked; empty if it is no archive.
        files: regular expression for files in that folder, by which it is told from others of the same name.
    """

    name: str
    page: str
    url: str | None = None
    size: int | None = None
    checksum: str | None = None
    folder: str = ""
    files: str = ".*"


def find_archive(archive: Archive, folder: Path) -> Path:
    """Say where the file is.

    Another size than the official file's is a warning only: mirrors pack anew, and damage shows when the file is read.

    Raises:
        FileNotFoundError: it is missing; the message says how to get it.
    """
    path = folder / archive.name
    if not path.is_file():
        put = f"put it, packed or unpacked (as {archive.folder}), into" if archive.folder else "put it into"
        if archive.url is None:
            raise FileNotFoundError(
                f"{path} is missing: its download needs an account, so get {archive.name} from {archive.page} and {put}"
                f" {folder}."
            )
        raise FileNotFoundError(
            f"{path} is missing: add --download to fetch it, or get it from {archive.url} (see {archive.page}) and"
            f" {put} {folder}."
        )
    found = path.stat().st_size
    if archive.size is not None and found != archive.size:
        _logger.warning(
            "warning: %s has %d bytes, but the official file has %d: if it turns out to be damaged, delete it and"
            " download it again.",
            path,
            found,
            archive.size,
        )
    return path


def download(archive: Archive, folder: Path) -> Path:
    """Fetch the file unless it is there, with a progress bar if stderr is a terminal.

    What has arrived is kept as ``<name>.part`` until it is complete and checked; the next call continues there.

    Returns:
        Where the file is.

    Raises:
        FileNotFoundError: its download needs an account.
        ValueError: what the server has is not the official file.
        OSError: no connection, an HTTP error, or not enough disk space.
    """
    target = folder / archive.name
    if archive.url is None or target.is_file():
        return find_archive(archive, folder)
    folder.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    clocks = (TimeRemainingColumn(),)
    quiet = not sys.stderr.isatty()
    with Progress(*columns, *clocks, console=Console(stderr=True), transient=True, disable=quiet) as bar:
        transfer = _Transfer(archive, archive.url, target, bar)
        transfer.check(transfer.run())
    transfer.part.rename(target)
    return target


class _CutError(Exception):
    """The connection ended before the file did; another attempt may help."""


class _Part:
    """The first bytes of a remote file, and what is known of the version of it that they are of.

    That is an HTTP validator (strong ETag or modification date), or else the length of the whole file; it is kept in a
    file beside.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_name(f"{path.name}.version")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def version(self) -> str:
        """The validator, or nothing."""
        note = self._read_note()
        return "" if note.startswith(_LENGTH) else note

    @property
    def length(self) -> int | None:
        """Of the whole file, where there is no validator and the server told it."""
        length = self._read_note().removeprefix(_LENGTH)
        return int(length) if self._read_note().startswith(_LENGTH) and length.isdecimal() else None

    def restart(self, headers: Message, total: int | None) -> None:
        """Drop what is there, and note which version comes now."""
        self.discard()
        etag = headers.get("ETag", "")
        validator = etag if etag.startswith('"') else headers.get("Last-Modified", "")
        note = validator or ("" if total is None else f"{_LENGTH}{total}")
        self._note.write_text(note, encoding="utf-8")

    def fits(self, headers: Message) -> bool:
        """Whether a response, as far as it says so, is of the same version."""
        if not self.version:
            return _content_range(headers)[1] == self.length
        name = "ETag" if self.version.startswith('"') else "Last-Modified"
        return headers.get(name, self.version) == self.version

    def read(self, start: int, size: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(size)

    def rename(self, target: Path) -> None:
        self.path.replace(target)
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _read_note(self) -> str:
        note = self._note.read_text(encoding="utf-8", errors="replace") if self._note.is_file() else ""
        return note if note.isascii() and note.isprintable() else ""  # it is sent in a header


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows a server to another address of the same kind, and says so.

    An encrypted connection is never given up, and no address leads to files of this machine.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._told: set[str] = set()

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        self._check(req.full_url, newurl)
        host = urllib.parse.urlsplit(newurl).netloc
        if host != urllib.parse.urlsplit(req.full_url).netloc and host not in self._told:
            self._told.add(host)
            _logger.warning("note: %s comes from another host, %s, to which %s leads.", self._name, host, req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage
    ) -> Any:  # noqa: ANN401 - as urllib has it
        location = headers.get("Location") or headers.get("URI") or ""
        self._check(req.full_url, urllib.parse.urljoin(req.full_url, location))
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def _check(self, old: str, new: str) -> None:
        schemes = [urllib.parse.urlsplit(url).scheme.lower() for url in (old, new)]
        if schemes[1] not in ("https", schemes[0]):
            raise _RefusedError(
                f"{old!r} leads to {new!r}, from {schemes[0]} to {schemes[1]}, which is refused: fetch the file by hand"
            )


class _RefusedError(Exception):
    """The server leads to where nobody should follow."""


class _Transfer:
    """One file on its way."""

    def __init__(self, archive: Archive, url: str, target: Path, bar: Progress) -> None:
        self.part = _Part(target.with_name(f"{target.name}.part"))
        self._archive = archive
        self._url = url
        self._target = target
        self._bar = bar
        self._task = bar.add_task(archive.name, total=archive.size)
        self._reached = False
        self._way_out = f"run again later, or download it by hand (see {archive.page}) to {target}"
        self._opener = urllib.request.build_opener(_Redirections(archive.name))

    def run(self) -> int | None:
        """Attempt until all bytes are there.

        Returns:
            Size of the whole file, if anybody knows it.
        """
        longest = failures = 0
        while True:
            try:
                return self._attempt()
            except _CutError as error:
                failures = 0 if self.part.size > longest else failures + 1
                longest = max(longest, self.part.size)
                if failures == len(_WAITS):
                    raise ConnectionError(
                        f"The download of {self._archive.name} from {self._url} failed {failures} times in a row"
                        f" ({error}): {self._way_out}."
                    ) from error
            time.sleep(_WAITS[failures])

    def check(self, expected_size: int | None) -> None:
        """Compare the complete file with what is known of it, and delete it if it is another one."""
        self._bar.update(self._task, description=f"{self._archive.name} (checking)")
        size = self.part.size
        if expected_size not in (None, size):
            self.part.discard()
            raise ValueError(self._wrong(f"{size} bytes", f"{expected_size} bytes (what came was deleted)"))
        if self._archive.checksum is None:
            compared = f"; only its length, {size} bytes, was compared"
            if expected_size is None:
                compared = ", nor its length: nothing was compared"
            _logger.warning("note: no checksum of %s is known%s.", self._archive.name, compared)
            return
        kind, _, expected = self._archive.checksum.partition(":")
        with self.part.path.open("rb") as file:
            found = hashlib.file_digest(file, partial(hashlib.new, kind, usedforsecurity=False)).hexdigest()
        if found != expected.lower():
            self.part.discard()
            raise ValueError(self._wrong(f"the {kind} sum {found}", f"{expected} (what came was deleted)"))

    def _attempt(self) -> int | None:
        if self.part.size and not self.part.version:
            if not self._samples_agree():
                self.part.discard()
            elif self.part.size == self.part.length:
                return self.part.length
        response = self._request()
        if response is None:
            return self._archive.size
        with response:
            total = self._begin(response)
            self._receive(response)
        if total is not None and self.part.size < total:
            raise _CutError(f"the connection ended after {self.part.size} of {total} bytes")
        return total

    def _samples_agree(self) -> bool:
        """Compare the ends of a part with the server's file, where the file's length is all that is known of it."""
        size = self.part.size
        if self.part.length is None or size > self.part.length:
            return False
        return all(self._sample_agrees(start, min(_SAMPLE, size)) for start in sorted({0, max(0, size - _SAMPLE)}))

    def _sample_agrees(self, start: int, size: int) -> bool:
        try:
            response = self._open({"Range": f"bytes={start}-{start + size - 1}"})
        except urllib.error.HTTPError as error:
            if error.code == _RANGE_REFUSED:
                return False
            raise self._status_error(error.code, error.reason) from None
        with response:
            is_part = (
                response.status == http.HTTPStatus.PARTIAL_CONTENT and _content_range(response.headers)[0] == start
            )
            if not is_part or not self.part.fits(response.headers):
                return False
            expected = self.part.read(start, size)
            found = b"".join(_chunks(response, size))
        if len(found) < size:
            raise _CutError("the connection ended in the middle of a sample")
        return found == expected

    def _request(self) -> http.client.HTTPResponse | None:
        """Ask for what is missing; None if that is nothing."""
        start = self.part.size
        headers = {"Range": f"bytes={start}-"} if start else {}
        if start and self.part.version:
            headers["If-Range"] = self.part.version
        try:
            return self._open(headers)
        except urllib.error.HTTPError as error:
            if error.code != _RANGE_REFUSED or not start:
                raise self._status_error(error.code, error.reason) from None
            if _content_range(error.headers)[1] == start and self.part.fits(error.headers):
                return None
            self.part.discard()
            return self._request()

    def _open(self, headers: dict[str, str]) -> http.client.HTTPResponse:
        request = urllib.request.Request(self._url, headers={"User-Agent": f"mmseg_tfovss/{__version__}", **headers})
        try:
            response: http.client.HTTPResponse = self._opener.open(request, timeout=_TIMEOUT)
        except _RefusedError as error:
            raise ValueError(f"{error} (see {self._archive.page}) to {self._target}.") from None
        except urllib.error.HTTPError as error:
            error.close()
            raise
        except urllib.error.URLError as error:
            if self._reached:
                raise _CutError(str(error.reason)) from error
            raise ConnectionError(f"{self._url} cannot be reached ({error.reason}): {self._way_out}.") from error
        except (http.client.InvalidURL, ValueError) as error:
            raise OSError(f"{self._url} leads to no address ({error}): {self._way_out}.") from error
        except (OSError, http.client.HTTPException) as error:
            raise _CutError(str(error) or type(error).__name__) from error
        self._reached = True
        return response

    def _begin(self, response: http.client.HTTPResponse) -> int | None:
        """Make the part ready for what comes.

        Returns:
            Size of the whole file, if anybody knows it.
        """
        headers = response.headers
        total: int | None
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            start, total = _content_range(headers)
            if start != self.part.size or not self.part.fits(headers):
                self.part.discard()
                raise _CutError("the file on the server changed meanwhile")
        elif response.status == http.HTTPStatus.OK:
            length = headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
        else:
            raise self._status_error(response.status, response.reason)
        self._check_offer(headers, total)
        if response.status == http.HTTPStatus.OK:
            self.part.restart(headers, total)
        total = self._archive.size if total is None else total
        self._check_space(total)
        self._bar.reset(self._task, completed=self.part.size, total=total)
        return total

    def _receive(self, response: http.client.HTTPResponse) -> None:
        try:
            with self.part.path.open("ab") as file:
                for chunk in _chunks(response):
                    file.write(chunk)
                    self._bar.advance(self._task, len(chunk))
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), str(self.part.path)) from error

    def _check_offer(self, headers: Message, total: int | None) -> None:
        if total is not None and self._archive.size is not None:
            if total != self._archive.size:
                raise ValueError(self._wrong(f"{total} bytes", f"{self._archive.size} bytes"))
        elif headers.get("Content-Type", "").startswith("text/html"):
            raise ValueError(f"{self._url} answers with a web page instead of {self._archive.name}: {self._way_out}.")

    def _check_space(self, total: int | None) -> None:
        missing = (total or 0) - self.part.size
        free = shutil.disk_usage(self._target.parent).free
        if missing > free:
            needed = f"{decimal(missing)} are needed, {decimal(free)} are free"
            raise OSError(errno.ENOSPC, f"not enough disk space: {needed}", str(self._target))

    def _status_error(self, status: int, reason: str) -> Exception:
        answer = f"HTTP status {status}, {reason}" if reason else f"HTTP status {status}"
        if status in _SOON_BETTER:
            return _CutError(answer)
        return OSError(f"{self._url} cannot be downloaded ({answer}): {self._way_out}.")

    def _wrong(self, found: str, expected: str) -> str:
        return (
            f"{self._url} is not the official {self._archive.name}: it has {found}, but expected was {expected};"
            f" {self._way_out}."
        )


def _chunks(response: http.client.HTTPResponse, most: int | None = None) -> Iterator[bytes]:
    """All that comes, or a number of bytes."""
    rest = sys.maxsize if most is None else most
    try:
        while chunk := response.read(min(_CHUNK, rest)):
            yield chunk
            rest -= len(chunk)
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(str(error) or type(error).__name__) from error


def _content_range(headers: Message) -> tuple[int | None, int | None]:
    """First byte of the answer, and size of the whole file."""
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", headers.get("Content-Range", ""))
    if match is None:
        return None, None
    start, total = match.groups()
    return (None if start is None else int(start)), (None if total == "*" else int(total))
