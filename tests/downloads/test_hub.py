"""Fetching from the hub: a stand-in of it on this machine, which cuts, lies and goes away."""

import errno
import hashlib
import json
import os
import random
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import constants

from mmseg_tfovss.cli import sentence
from mmseg_tfovss.downloads.hub import fetch, offer, page, stored
from mmseg_tfovss.downloads.needs import Need
from tests.downloads import hub

SAFE, PICKLED = "open_clip_model.safetensors", "open_clip_pytorch_model.bin"
CONTENT = random.Random(0).randbytes(300_000)
CLIP = Need(
    "CLIP B/openai",
    "B/openai",
    "model.backbone.pretrained",
    "timm/clip",
    None,
    (SAFE, PICKLED),
    ((SAFE, PICKLED),),
    True,
)
DINO = Need(
    "DINO facebook/dino",
    "facebook/dino",
    "model.vfm.pretrained",
    "facebook/dino",
    None,
    ("config.json", "model*.safetensors*"),
    (("config.json",), ("model.safetensors", "model.safetensors.index.json")),
)


@pytest.fixture
def server(monkeypatch, tmp_path):
    repositories = {
        "timm/clip": {SAFE: CONTENT, PICKLED: b"pickle", "README.md": b"text"},
        "facebook/dino": {"config.json": b"{}", "model.safetensors": CONTENT, "pytorch_model.bin": b"pickle"},
    }
    with hub.serving(hub.Hub(repositories)) as server:
        hub.use(monkeypatch, server.url, tmp_path / "home")
        yield server


def parts():
    return list(Path(constants.HF_HUB_CACHE).rglob("*.incomplete"))


def gets(server):
    return [path for command, path in server.requests if command == "GET" and "/resolve/" in path]


def test_what_the_hub_offers(server):
    assert stored(CLIP) == []
    assert offer(CLIP).sizes == {SAFE: len(CONTENT)}  # open_clip takes the first of the two
    assert (offer(DINO).size, offer(DINO).licence) == (len(CONTENT) + 2, hub.LICENCE)
    assert gets(server) == []
    assert not Path(constants.HF_HUB_CACHE).exists()


def test_only_what_is_needed_is_fetched_and_only_once(server):
    (path,) = fetch(CLIP)
    assert path.read_bytes() == CONTENT
    assert {path.name for path in fetch(DINO)} == {"config.json", "model.safetensors"}
    assert len(gets(server)) == 3
    server.requests.clear()
    assert fetch(CLIP) == stored(CLIP) == [path]
    assert (
        {path.name for path in fetch(DINO)}
        == {path.name for path in stored(DINO)}
        == {"config.json", "model.safetensors"}
    )
    assert server.requests == []


def test_a_repository_with_the_older_file_alone(server):
    del server.repositories["timm/clip"][SAFE]
    (path,) = fetch(CLIP)
    assert path.name == PICKLED


def test_what_was_fetched_is_found_without_a_network(server, monkeypatch):
    fetch(DINO)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert len(fetch(DINO)) == 2
    with pytest.raises(ConnectionError, match=r"HF_HUB_OFFLINE is set"):
        fetch(CLIP)


def test_a_cut_download_leaves_no_half_file_and_may_be_repeated(server, monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)  # between its own attempts
    server.cut = 1000
    with pytest.raises(ConnectionError, match=r"CLIP B/openai cannot be fetched from .*/timm/clip \(.*\)"):
        fetch(CLIP)
    assert parts() == stored(CLIP) == []
    server.cut = None
    assert fetch(CLIP)[0].read_bytes() == CONTENT


def test_what_a_killed_process_has_left_is_removed_when_it_is_old(server):
    folder = Path(constants.HF_HUB_CACHE) / "models--timm--clip/blobs"
    folder.mkdir(parents=True)
    for name, age in (("old", 7200), ("new", 0)):
        (folder / f"{name}.incomplete").write_bytes(b"half")
        os.utime(folder / f"{name}.incomplete", (time.time() - age,) * 2)
    fetch(CLIP)
    assert [path.name for path in parts()] == ["new.incomplete"]


def test_a_wrong_checksum_is_refused_and_the_file_deleted(server):
    server.swapped[SAFE] = bytes(len(CONTENT))
    with pytest.raises(ValueError, match=r"open_clip_model.safetensors of CLIP B/openai is damaged: its checksum is"):
        fetch(CLIP)
    assert stored(CLIP) == []
    server.swapped.clear()
    assert fetch(CLIP)[0].read_bytes() == CONTENT


def test_a_file_that_was_damaged_later_is_refused(server):
    (path,) = fetch(CLIP)
    path.resolve().write_bytes(b"x" + CONTENT[1:])
    with pytest.raises(ValueError, match=r"is damaged"):
        fetch(CLIP)
    assert fetch(CLIP)[0].read_bytes() == CONTENT


def test_gits_checksum_of_small_files_is_compared(server, tmp_path):
    from mmseg_tfovss.downloads.hub import _check

    content = b"{}"
    blob = tmp_path / hashlib.sha1(b"blob 2\0{}", usedforsecurity=False).hexdigest()
    blob.write_bytes(content)
    link = tmp_path / "config.json"
    link.symlink_to(blob)
    _check(link, DINO)
    blob.write_bytes(b"[]")
    with pytest.raises(ValueError, match="is damaged"):
        _check(link, DINO)


def test_files_in_parts_must_be_complete(server):
    del server.repositories["facebook/dino"]["model.safetensors"]
    index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode()
    server.repositories["facebook/dino"] |= {"model.safetensors.index.json": index, "model-1.safetensors": b"1"}
    with pytest.raises(FileNotFoundError, match=r"it lacks parts of its files"):
        fetch(DINO)


def test_no_network_is_one_sentence_that_says_what_to_do(monkeypatch, tmp_path):
    hub.use(monkeypatch, "http://127.0.0.1:9", tmp_path)
    for need, what in (
        (CLIP, f"download {SAFE} from https://huggingface.co/timm/clip, bring it here and set {CLIP.option} to it"),
        (DINO, f"facebook/dino into one folder, bring it here and set {DINO.option} to the folder"),
    ):
        with pytest.raises(ConnectionError) as caught:
            fetch(need)
        assert what in str(caught.value)
        assert f"cannot be fetched from {page(need)} (it cannot be reached)" in str(caught.value)
    assert not (tmp_path / "hub").exists()


def test_a_repository_that_is_gone_or_lacks_the_file(server):
    del server.repositories["timm/clip"]
    with pytest.raises(ConnectionError, match=r"\(RepositoryNotFoundError"):
        fetch(CLIP)
    del server.repositories["facebook/dino"]["config.json"]
    with pytest.raises(FileNotFoundError, match=r"it has no config.json"):
        fetch(DINO)


def test_too_little_space_is_said_before_anything_is_fetched(server, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(
        OSError, match=r"not enough disk space: 300.0 kB are needed, 1.0 kB are free; set HF_HOME"
    ) as caught:
        fetch(CLIP)
    assert caught.value.errno == errno.ENOSPC
    assert gets(server) == []


def test_a_disk_that_fills_up_is_one_sentence_and_leaves_nothing(server, monkeypatch):
    def fill(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", fill)
    with pytest.raises(OSError, match="No space left on device") as caught:
        fetch(CLIP)
    assert sentence(caught.value) == (
        f"{constants.HF_HUB_CACHE}: No space left on device (HF_HOME names another folder)."
    )
    assert parts() == stored(CLIP) == []


def test_a_cache_that_cannot_be_made_is_one_sentence(server, tmp_path):
    (tmp_path / "home").touch()
    with pytest.raises(OSError, match="HF_HOME names another folder") as caught:
        fetch(CLIP)
    assert str(tmp_path / "home") in sentence(caught.value)
