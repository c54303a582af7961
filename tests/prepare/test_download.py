"""Downloads: from a local server that behaves as real ones do, and worse."""

import errno
import hashlib
import io
import os
import random
import re
import shutil
import socket
import struct
import sys
import threading
import urllib.request
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rich.progress import Progress

from mmseg_tfovss.cli import sentence
from mmseg_tfovss.prepare import download as module
from mmseg_tfovss.prepare.download import Archive, download, find_archive

PAGE = "https://dataset.example/licence"
CONTENT = random.Random(0).randbytes(1_000_000)
OTHER = random.Random(1).randbytes(900_000)
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """A file that may be changed between requests; what ``faults`` names happens to the next requests, in order."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.etag = '"one"'
        self.modified = None
        self.ranges = True
        self.heeds_if_range = True
        self.faults = []
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/a.zip"

    def handle_error(self, request, client_address):
        pass


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append(dict(self.headers))
        fault = server.faults.pop(0) if server.faults else {}
        if "status" in fault:
            self.send_response(fault["status"])
            self.send_header("Content-Length", "0")
            self.send_header("Location", fault.get("location", server.url))
            self.end_headers()
        elif "silence" not in fault:
            self.send_file(server, **fault)

    def send_file(self, server, cut=None, kind="application/zip", length=True, start=None, reset=False):
        start = self.first_byte(server) if start is None else start
        total = len(server.content)
        if start >= total > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.end_headers()
            return
        end = self.last_byte(server, total)
        self.send_response(206 if start or end < total else 200)
        if start or end < total:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{total}")
        if length:
            self.send_header("Content-Length", str(end - start))
        for name, value in (("Content-Type", kind), ("ETag", server.etag), ("Last-Modified", server.modified)):
            if value:
                self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(server.content[start:end][:cut])
        if reset:
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def last_byte(self, server, total):
        asked = re.fullmatch(r"bytes=\d+-(\d+)", self.headers.get("Range", ""))
        return min(int(asked[1]) + 1, total) if asked and server.ranges else total

    def first_byte(self, server):
        asked = re.fullmatch(r"bytes=(\d+)-\d*", self.headers.get("Range", ""))
        same = not server.heeds_if_range or self.headers.get("If-Range") in (server.etag, server.modified)
        return int(asked[1]) if asked and same and server.ranges else 0


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    server = Server()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Nobody waits; the list has the seconds that would have been waited."""
    waits = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    return waits


def archive(server, **kwargs):
    return Archive("a.zip", PAGE, **{"url": server.url, "size": len(CONTENT), "checksum": SHA256} | kwargs)


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def ranges(server):
    return [request.get("Range") for request in server.requests]


def arrive_until(server, folder, cut, **kwargs):
    """Interrupt a download after `cut` bytes as Ctrl-C does."""

    def interrupt(seconds):
        raise KeyboardInterrupt

    server.faults = [{"cut": cut}]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            download(archive(server, **kwargs), folder)
    assert (folder / "a.zip.part").stat().st_size == cut
    server.requests.clear()


def test_local_file_is_found(tmp_path):
    (tmp_path / "a.zip").write_bytes(CONTENT)
    for size in (None, len(CONTENT)):
        assert find_archive(Archive("a.zip", PAGE, size=size), tmp_path) == tmp_path / "a.zip"


def test_missing_file_says_where_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        find_archive(Archive("a.zip", PAGE, url="https://host.example/a.zip"), tmp_path)
    assert sentence(caught.value) == (
        f"{tmp_path / 'a.zip'} is missing: add --download to fetch it, or get it from https://host.example/a.zip (see"
        f" {PAGE}) and put it into {tmp_path}."
    )


@pytest.mark.parametrize("call", [find_archive, download])
def test_missing_file_behind_an_account_is_not_offered_for_download(call, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        call(Archive("a.zip", PAGE), tmp_path)
    assert sentence(caught.value) == (
        f"{tmp_path / 'a.zip'} is missing: its download needs an account, so get a.zip from {PAGE} and put it into"
        f" {tmp_path}."
    )


@pytest.mark.parametrize("call", [find_archive, download])
def test_local_file_of_another_size_is_taken_with_a_warning(call, server, tmp_path, caplog):
    (tmp_path / "a.zip").write_bytes(b"half")
    assert call(archive(server), tmp_path) == tmp_path / "a.zip"
    assert re.search(r"a\.zip has 4 bytes, but the official file has 1000000: .* delete it", caplog.text)
    assert server.requests == []


@pytest.mark.parametrize("checksum", [None, MD5, SHA256, SHA256.upper().replace("SHA", "sha")])
@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_file_arrives_whole(checksum, size, server, tmp_path, capsys):
    folder = tmp_path / "new" / "folder"
    assert download(archive(server, size=size, checksum=checksum), folder) == folder / "a.zip"
    assert (folder / "a.zip").read_bytes() == CONTENT
    assert names(folder) == ["a.zip"]
    assert capsys.readouterr() == ("", "")
    assert server.requests[0]["Accept-Encoding"] == "identity"  # bytes as they are, not packed for the way


def test_file_that_is_there_is_not_asked_for(server, tmp_path):
    (tmp_path / "a.zip").write_bytes(CONTENT)
    assert download(archive(server), tmp_path) == tmp_path / "a.zip"
    assert server.requests == []


def test_file_of_unknown_length_arrives(server, tmp_path):
    server.faults = [{"length": False}]
    download(archive(server, size=None), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_cut_connection_continues_where_it_broke(server, tmp_path, waits):
    server.faults = [{"cut": 300_000}, {"cut": 200_000}]
    download(archive(server), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=300000-", "bytes=500000-"]
    assert waits == [1, 1]


def test_reset_connection_continues_too(server, tmp_path):
    server.faults = [{"cut": 500_000, "reset": True}]
    download(archive(server), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_modification_date_serves_where_there_is_no_strong_etag(server, tmp_path):
    server.etag, server.modified = 'W/"weak"', "Wed, 01 Jan 2020 00:00:00 GMT"
    server.faults = [{"cut": 300_000}]
    download(archive(server), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=300000-"]


# Servers that tell no version of the file


NO_VERSION = pytest.mark.parametrize("etag", [None, 'W/"weak"'])


@NO_VERSION
@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_without_a_version_a_cut_download_continues_where_length_and_samples_agree(etag, size, server, tmp_path):
    server.etag = etag
    server.faults = [{"cut": 300_000}]
    download(archive(server, size=size), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=0-65535", "bytes=234464-299999", "bytes=300000-"]
    assert names(tmp_path) == ["a.zip"]


def test_without_a_version_the_next_call_continues_too(server, tmp_path):
    server.etag = None
    for cut in (1, 65_536, 400_000):
        arrive_until(server, tmp_path, cut)
        download(archive(server, checksum=None), tmp_path)
        assert (tmp_path / "a.zip").read_bytes() == CONTENT
        assert ranges(server)[-1] == f"bytes={cut}-"
        (tmp_path / "a.zip").unlink()


@pytest.mark.parametrize("changed", [0, 399_999])
def test_without_a_version_a_file_of_the_same_length_is_not_mixed_with_another(changed, server, tmp_path):
    server.etag = None
    arrive_until(server, tmp_path, 400_000, checksum=None)
    other = bytearray(CONTENT)
    other[changed] ^= 1
    other[-1] ^= 1
    server.content = bytes(other)
    download(archive(server, checksum=None), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == other


@pytest.mark.parametrize("content", [CONTENT + b"more", CONTENT[:-1], OTHER, CONTENT[:1000]])
def test_without_a_version_a_file_of_another_length_starts_over(content, server, tmp_path):
    unknown = {"size": None, "checksum": None}
    server.etag = None
    arrive_until(server, tmp_path, 400_000, **unknown)
    server.content = content
    download(archive(server, **unknown), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == content
    assert ranges(server)[-1] is None


def test_without_a_version_and_a_length_everything_comes_again(server, tmp_path):
    server.etag = None
    server.faults = [{"cut": 300_000, "length": False}]
    download(archive(server), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert ranges(server) == [None, None]


def test_without_a_version_and_ranges_everything_comes_again(server, tmp_path):
    server.etag, server.ranges = None, False
    server.faults = [{"cut": 300_000}]
    download(archive(server), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=0-65535", None]


@pytest.mark.parametrize("fault", [{"cut": 10}, {"status": 503}, {"silence": True}])
def test_sample_that_does_not_come_is_asked_for_again(fault, server, tmp_path):
    server.etag = None
    server.faults = [{"cut": 300_000}, fault]
    download(archive(server), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert ranges(server)[-1] == "bytes=300000-"


def test_without_a_version_a_complete_part_is_taken_over(server, tmp_path):
    server.etag = None
    arrive_until(server, tmp_path, 400_000)
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    download(archive(server), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert ranges(server) == ["bytes=0-65535", "bytes=934464-999999"]


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_without_a_checksum_it_is_said_what_was_compared(size, server, tmp_path, caplog):
    download(archive(server, size=size, checksum=None), tmp_path)
    assert caplog.messages == ["note: no checksum of a.zip is known; only its length, 1000000 bytes, was compared."]


def test_without_checksum_and_length_that_is_said(server, tmp_path, caplog):
    server.faults = [{"length": False}]
    download(archive(server, size=None, checksum=None), tmp_path)
    assert caplog.messages == ["note: no checksum of a.zip is known, nor its length: nothing was compared."]


def test_with_a_checksum_nothing_is_said(server, tmp_path, caplog):
    download(archive(server), tmp_path)
    assert caplog.messages == []


# Redirections


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_another_host_is_followed_and_named(status, server, tmp_path, caplog):
    server.faults = [{"status": status, "location": server.url.replace("127.0.0.1", "localhost")}] * 2
    download(archive(server), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    host = f"localhost:{server.server_port}"
    assert caplog.messages == [f"note: a.zip comes from another host, {host}, to which {server.url} leads."]


def test_another_path_of_the_same_host_is_followed_without_a_word(server, tmp_path, caplog):
    server.faults = [{"status": 302, "location": "/b/a.zip"}]
    download(archive(server), tmp_path)
    assert caplog.messages == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["file:///etc/hostname", "ftp://127.0.0.1/a.zip", "data:,x", "FILE:/etc/hostname"])
def test_another_scheme_is_refused(status, location, server, tmp_path, waits):
    server.faults = [{"status": status, "location": location}]
    with pytest.raises(
        ValueError, match=r"^'http://127.* leads to '.*, which is refused: fetch the file by hand"
    ) as caught:
        download(archive(server), tmp_path)
    assert location in str(caught.value)
    assert str(tmp_path / "a.zip") in str(caught.value)
    assert waits == []
    assert names(tmp_path) == []


def test_encryption_is_never_given_up():
    handler = module._Redirections("a.zip")
    request = urllib.request.Request("https://host.example/a.zip")
    with pytest.raises(module._RefusedError, match="from https to http, which is refused"):
        handler.http_error_302(request, io.BytesIO(), 302, "Found", {"location": "http://host.example/a.zip"})
    handler._check("http://host.example/a.zip", "https://host.example/a.zip")


def test_circle_of_redirections_is_one_sentence(server, tmp_path):
    server.faults = [{"status": 302}] * 30
    with pytest.raises(OSError, match="infinite loop") as caught:
        download(archive(server), tmp_path)
    assert sentence(caught.value).startswith(f"{server.url} cannot be downloaded (HTTP status 302, ")


def test_redirection_to_nonsense_is_one_sentence(server, tmp_path, waits):
    for location in ("http://127.0.0.1:port/", "http://[/"):
        server.faults = [{"status": 302, "location": location}]
        with pytest.raises((OSError, ValueError)) as caught:
            download(archive(server), tmp_path)
        assert "a.zip" in sentence(caught.value)
        assert waits == []


def test_interrupted_download_continues_in_the_next_call(server, tmp_path):
    arrive_until(server, tmp_path, 400_000)
    download(archive(server), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert names(tmp_path) == ["a.zip"]
    assert ranges(server) == ["bytes=400000-"]


def test_server_that_ignores_range_starts_over(server, tmp_path):
    server.ranges = False
    server.faults = [{"cut": 300_000}]
    download(archive(server), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=300000-"]


@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_two_versions_are_not_mixed(heeds_if_range, server, tmp_path):
    unknown = {"size": None, "checksum": None}
    arrive_until(server, tmp_path, 400_000, **unknown)
    server.content, server.etag, server.heeds_if_range = OTHER, '"two"', heeds_if_range
    download(archive(server, **unknown), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == OTHER


def test_answer_from_another_place_than_asked_is_not_appended(server, tmp_path):
    server.faults = [{"cut": 400_000}, {"start": 5}]
    download(archive(server, checksum=None), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_complete_part_is_taken_over(server, tmp_path):
    arrive_until(server, tmp_path, 400_000)
    (tmp_path / "a.zip.part").write_bytes(CONTENT)  # as a kill before the checksum's end leaves it
    download(archive(server), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert names(tmp_path) == ["a.zip"]
    assert ranges(server) == ["bytes=1000000-"]


def test_complete_part_is_checked_too(server, tmp_path):
    arrive_until(server, tmp_path, 400_000)
    (tmp_path / "a.zip.part").write_bytes(bytes(len(CONTENT)))
    with pytest.raises(ValueError, match="sha256 sum"):
        download(archive(server), tmp_path)
    assert names(tmp_path) == []


def test_complete_part_of_a_file_that_is_too_small_is_deleted(server, tmp_path):
    arrive_until(server, tmp_path, 400_000)
    server.content = CONTENT[:400_000]
    with pytest.raises(ValueError, match="it has 400000 bytes, but expected was 1000000 bytes"):
        download(archive(server, checksum=None), tmp_path)
    assert names(tmp_path) == []


def test_part_that_is_too_long_starts_over(server, tmp_path):
    arrive_until(server, tmp_path, 400_000)
    (tmp_path / "a.zip.part").write_bytes(CONTENT + b"more")
    server.faults = [{}] + [{"cut": 1000 * n} for n in range(1, 9)]
    download(archive(server), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_part_without_its_version_starts_over(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(bytes(1000))
    download(archive(server, checksum=None), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert ranges(server) == [None]


@pytest.mark.parametrize(
    "note", [b"\xff", b'"a\r\nX: y"', b"length:", b"length:-5", b"length:1e6", "length:٥".encode()]
)
def test_part_with_a_damaged_note_starts_over(note, server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(bytes(1000))
    (tmp_path / "a.zip.part.version").write_bytes(note)
    download(archive(server, checksum=None), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert names(tmp_path) == ["a.zip"]


def test_gives_up_after_five_attempts_without_a_new_byte(server, tmp_path, waits):
    server.faults = [{"silence": True}] * 2 + [{"cut": 1000}] + [{"silence": True}] * 5
    with pytest.raises(ConnectionError) as caught:
        download(archive(server), tmp_path)
    message = sentence(caught.value)
    assert message.startswith(f"The download of a.zip from {server.url} failed 5 times in a row (")
    assert message.endswith(f"): run again later, or download it by hand (see {PAGE}) to {tmp_path / 'a.zip'}.")
    assert len(server.requests) == 8
    assert waits == [2, 4, 1, 2, 4, 8, 16]
    assert (tmp_path / "a.zip.part").read_bytes() == CONTENT[:1000]
    download(archive(server), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_server_without_ranges_that_always_cuts_does_not_hold_forever(server, tmp_path):
    server.ranges = False
    server.faults = [{"cut": 1000}] * 50
    with pytest.raises(ConnectionError, match="the connection ended after 1000 of 1000000 bytes"):
        download(archive(server), tmp_path)
    assert len(server.requests) == 6


def test_cut_of_a_response_without_length_is_noticed_by_the_known_size(server, tmp_path):
    server.faults = [{"length": False, "cut": 1000}]
    download(archive(server, checksum=None), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_redirection_keeps_the_place(server, tmp_path):
    server.faults = [{"status": 302}, {"cut": 300_000}, {"status": 302}]
    download(archive(server), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert ranges(server) == [None, None, "bytes=300000-", "bytes=300000-"]


def test_busy_server_is_asked_again(server, tmp_path):
    server.faults = [{"status": 503}, {"cut": 1000}, {"status": 500}]
    download(archive(server), tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [404, 403, 416, 202])
def test_other_statuses_are_named(status, server, tmp_path, waits):
    server.faults = [{"status": status}]
    with pytest.raises(OSError, match=f"HTTP status {status}, ") as caught:
        download(archive(server), tmp_path)
    message = sentence(caught.value)
    assert message.startswith(f"{server.url} cannot be downloaded (HTTP status {status}, ")
    assert PAGE in message
    assert str(tmp_path / "a.zip") in message
    assert waits == []
    assert names(tmp_path) == []


def test_server_error_that_stays_is_named(server, tmp_path):
    server.faults = [{"status": 500}] * 5
    with pytest.raises(ConnectionError, match=r"failed 5 times in a row \(HTTP status 500, Internal Server Error\)"):
        download(archive(server), tmp_path)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_no_network_says_what_to_do_by_hand_at_once(tmp_path, monkeypatch, waits):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    url = f"http://127.0.0.1:{free_port()}/a.zip"
    with pytest.raises(ConnectionError) as caught:
        download(Archive("a.zip", PAGE, url), tmp_path)
    message = sentence(caught.value)
    assert message.startswith(f"{url} cannot be reached (")
    assert message.endswith(f": run again later, or download it by hand (see {PAGE}) to {tmp_path / 'a.zip'}.")
    assert waits == []


def test_network_that_goes_away_meanwhile_is_waited_for(server, tmp_path, monkeypatch, waits):
    server.faults = [{"cut": 300_000}]
    monkeypatch.setattr(module.time, "sleep", lambda seconds: (waits.append(seconds), server.server_close()))
    with pytest.raises(ConnectionError, match="failed 5 times in a row"):
        download(archive(server), tmp_path)
    assert waits == [1, 2, 4, 8, 16]
    assert (tmp_path / "a.zip.part").read_bytes() == CONTENT[:300_000]


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_wrong_file_of_the_right_size_is_deleted(kind, server, tmp_path):
    server.content = bytes(len(CONTENT))
    found = hashlib.new(kind, server.content).hexdigest()
    expected = hashlib.new(kind, CONTENT).hexdigest()
    with pytest.raises(ValueError, match=f"{kind} sum {found}, but expected was {expected}"):
        download(archive(server, checksum=f"{kind}:{expected}"), tmp_path)
    assert names(tmp_path) == []


def test_file_of_another_size_is_refused_before_it_is_downloaded(server, tmp_path):
    arrive_until(server, tmp_path, 400_000)
    server.content, server.etag = OTHER, '"two"'
    with pytest.raises(ValueError, match="it has 900000 bytes, but expected was 1000000 bytes"):
        download(archive(server), tmp_path)
    assert (tmp_path / "a.zip.part").read_bytes() == CONTENT[:400_000]


def test_file_that_is_longer_than_known_is_deleted(server, tmp_path):
    server.content = CONTENT + b"more"
    server.faults = [{"length": False}]
    with pytest.raises(ValueError, match="it has 1000004 bytes, but expected was 1000000 bytes"):
        download(archive(server, checksum=None), tmp_path)
    assert names(tmp_path) == []


def test_part_to_which_somebody_else_writes_is_deleted(server, tmp_path, monkeypatch):
    monkeypatch.setattr(Progress, "advance", lambda *args: os.truncate(tmp_path / "a.zip.part", 2_000_000))
    with pytest.raises(ValueError, match="bytes, but expected was 1000000 bytes"):
        download(archive(server, size=None, checksum=None), tmp_path)
    assert names(tmp_path) == []


def test_web_page_is_not_taken_for_the_file(server, tmp_path):
    server.faults = [{"kind": "text/html; charset=utf-8"}]
    with pytest.raises(ValueError, match=r"answers with a web page instead of a\.zip"):
        download(archive(server, size=None), tmp_path)
    assert names(tmp_path) == []


def test_disk_that_is_too_small_is_noticed_before_a_byte_is_written(server, tmp_path, monkeypatch):
    arrive_until(server, tmp_path, 400_000)
    usage = shutil._ntuple_diskusage
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage(0, 0, 599_999))
    with pytest.raises(OSError, match=r"not enough disk space: 600\.0 kB are needed") as caught:
        download(archive(server), tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / "a.zip")
    assert (tmp_path / "a.zip.part").stat().st_size == 400_000
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage(0, 0, 600_000))
    assert download(archive(server), tmp_path).read_bytes() == CONTENT


def test_disk_that_runs_full_keeps_the_part(server, tmp_path, monkeypatch):
    room = 400_000
    opened = Path.open

    class FullDisk:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, data):
            if self.file.tell() + len(data) > room:
                self.file.write(data[: room - self.file.tell()])
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(data)

    def open_on_full_disk(path, mode="r", **kwargs):
        file = opened(path, mode, **kwargs)
        return FullDisk(file) if mode == "ab" else file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_on_full_disk)
        with pytest.raises(OSError, match="No space left") as caught:
            download(archive(server), tmp_path)
    assert sentence(caught.value) == f"{tmp_path / 'a.zip.part'}: No space left on device."
    assert (tmp_path / "a.zip.part").stat().st_size == room
    assert download(archive(server), tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=400000-"]


def test_bar_counts_what_was_there_before(server, tmp_path, monkeypatch, capsys):
    arrive_until(server, tmp_path, 400_000)
    seen = []
    advance = Progress.advance
    monkeypatch.setattr(Progress, "advance", lambda bar, *args: (advance(bar, *args), seen.append(bar.tasks[0])))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    download(archive(server), tmp_path)
    assert (seen[-1].completed, seen[-1].total) == (len(CONTENT), len(CONTENT))
    captured = capsys.readouterr()
    assert "a.zip" in captured.err
    assert captured.out == ""
