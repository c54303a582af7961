"""A small stand-in for the Hugging Face hub, on this machine: the addresses that its client asks, and faults."""

import hashlib
import json
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from huggingface_hub import constants

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LICENCE = "mit"


class Hub(ThreadingHTTPServer):
    """Repositories by id: content by name of file. Whatever else is on the same server: ``files`` by path."""

    daemon_threads = True

    def __init__(self, repositories, files=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories, self.files = repositories, files or {}
        self.requests = []
        self.cut = None  # bytes after which the connection ends
        self.stall = None  # bytes after which nothing comes
        self.swapped = {}  # what comes in place of a file, by name

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        server, path = self.server, unquote(urlsplit(self.path).path)
        server.requests.append((self.command, path))
        if path in server.files:
            return self.answer(server.files[path], etag=f'"{hashlib.md5(server.files[path]).hexdigest()}"')
        if path.startswith("/api/models/"):
            owner, name, *rest = path.removeprefix("/api/models/").split("/")
            files = server.repositories.get(f"{owner}/{name}")
            if files is not None:
                return self.describe(f"{owner}/{name}", files, tree="tree" in rest)
        else:
            owner, name, *rest = path.strip("/").split("/")
            files, file = server.repositories.get(f"{owner}/{name}", {}), "/".join(rest[2:])
            if rest[:1] == ["resolve"] and file in files:
                etag = _sha256(files[file])
                return self.answer(server.swapped.get(file, files[file]), f'"{etag}"', commit=True)
        kind = "EntryNotFound" if f"{owner}/{name}" in server.repositories else "RepoNotFound"
        self.send_response(404)
        self.send_header("X-Error-Code", kind)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def describe(self, repository, files, *, tree):
        entries = [
            {
                "type": "file",
                "path": name,
                "rfilename": name,
                "size": len(content),
                "oid": "0" * 40,
                "lfs": {**dict.fromkeys(("oid", "sha256"), _sha256(content)), "size": len(content), "pointerSize": 100},
            }
            for name, content in files.items()
        ]
        facts = {"id": repository, "sha": COMMIT, "siblings": entries, "cardData": {"license": LICENCE}, "tags": []}
        self.answer(json.dumps(entries if tree else facts).encode(), '"api"', kind="application/json")

    def answer(self, content, etag, *, kind="application/octet-stream", commit=False):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", kind)
        self.send_header("ETag", etag)
        if commit:
            self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            with suppress(ConnectionError):
                self.send(content if kind == "application/json" else content[: self.server.cut], kind)

    def send(self, content, kind):
        if self.server.stall is None or kind == "application/json":
            self.wfile.write(content)
            return
        self.wfile.write(content[: self.server.stall])
        while self.server.stall is not None:
            time.sleep(0.01)


def _sha256(content):
    return hashlib.sha256(content).hexdigest()


@contextmanager
def serving(server):
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def use(monkeypatch, url, home):
    """Let the hub's client in this process ask this server, and keep what it fetches below this folder."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HOME", str(home))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
