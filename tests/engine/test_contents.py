"""Files are known by what they hold: read when anything about them has changed, and only then."""

import os
import random
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmseg_tfovss.engine import contents
from mmseg_tfovss.engine.contents import fingerprints, have_changed, read_contents

LATER = 100.0  # seconds: files of this moment are old
TICK = 0.015  # seconds: two changes after another get different times


@pytest.fixture
def reads(monkeypatch, tmp_path):
    """Files that were read, in a process and with a cache of their own; what was written a moment ago is old."""
    monkeypatch.setenv("MMSEG_TFOVSS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(contents, "_known", {})
    monkeypatch.setattr(contents, "_told", set())
    monkeypatch.setattr(contents, "time", SimpleNamespace(time=lambda: time.time() + LATER, monotonic=time.monotonic))
    found, read = [], contents._read
    monkeypatch.setattr(contents, "_read", lambda path: (found.append(path.name), read(path))[1])
    return found


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_text(f"content of {name}")
    time.sleep(TICK)
    return [folder / name for name in "abc"]


def hashes(files):
    return [content.hash for content in read_contents(files, files[0].parent).values()]


def forget(monkeypatch):
    """As a new process."""
    monkeypatch.setattr(contents, "_known", {})


def cache_files(tmp_path):
    return list((tmp_path / "cache/contents").iterdir())


def test_unchanged_files_are_read_once_for_all_processes(files, reads, monkeypatch, tmp_path):
    first = hashes(files)
    assert sorted(reads) == ["a", "b", "c"]
    assert hashes(files) == first
    forget(monkeypatch)
    assert hashes(files) == first
    assert len(reads) == 3
    assert len(cache_files(tmp_path)) == 1


def test_of_changed_files_only_those_are_read(files, reads, monkeypatch):
    first = hashes(files)
    del reads[:]
    files[1].write_text("Content of b")  # of the same size
    os.utime(files[2])  # touched
    second = hashes(files)
    assert sorted(reads) == ["b", "c"]
    assert [one == two for one, two in zip(first, second, strict=True)] == [True, False, True]
    forget(monkeypatch)
    assert hashes(files) == second
    assert len(reads) == 2


def test_a_change_in_place_is_seen_where_its_time_was_restored(files, reads):
    before, times = hashes(files), files[0].stat()
    with files[0].open("r+") as file:
        file.write("C")
    os.utime(files[0], ns=(times.st_atime_ns, times.st_mtime_ns))
    after = files[0].stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (times.st_size, times.st_mtime_ns, times.st_ino)
    assert hashes(files)[0] != before[0]


def test_what_was_written_a_moment_ago_is_not_remembered(files, reads, monkeypatch):
    """A second change within a tick of the clock would leave its times as they are."""
    monkeypatch.setattr(contents, "time", time)
    contents_then = read_contents(files, files[0].parent)
    hashes(files)
    assert len(reads) == 6
    stamp = contents._stamp
    monkeypatch.setattr(contents, "_stamp", lambda path: stamp(files[1]) if path == files[0] else stamp(path))
    contents_then[files[0]] = contents.Content(contents_then[files[0]].hash, stamp(files[1]), settled=False)
    files[0].write_text("Content of a")  # in the same tick
    assert have_changed(contents_then, files[0].parent) == [files[0]]


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\n{}", None])
def test_a_damaged_cache_costs_time_only(files, reads, monkeypatch, tmp_path, damage):
    first = hashes(files)
    [cache] = cache_files(tmp_path)
    raw = cache.read_bytes()
    spot = raw.index(first[0].encode())
    cache.write_bytes(raw[:spot] + b"0000" + raw[spot + 4 :] if damage is None else damage)
    forget(monkeypatch)
    assert hashes(files) == first
    assert len(reads) == 6
    forget(monkeypatch)
    assert hashes(files) == first
    assert len(reads) == 6


def test_a_cache_that_cannot_be_written_is_one_warning(files, reads, monkeypatch, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file, where a folder should be")
    first = hashes(files)
    forget(monkeypatch)
    assert hashes(files) == first
    assert caplog.text.count("what files hold could not be cached, and is read again next time") == 1
    monkeypatch.delenv("MMSEG_TFOVSS_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    forget(monkeypatch)
    assert hashes(files) == first


def test_the_cache_does_not_grow_for_ever(files, reads, monkeypatch, tmp_path):
    monkeypatch.setattr(contents, "_MOST_FILES", 2)
    hashes(files)
    forget(monkeypatch)
    assert len(contents._stored(files[0].parent)) == 2
    hashes(files)
    assert len(reads) == 4
    other = tmp_path / "other"
    other.mkdir()
    (other / "d").write_text("d")
    monkeypatch.setattr(contents, "_MOST_BYTES", cache_files(tmp_path)[0].stat().st_size + 10)
    read_contents([other / "d"], other)
    assert contents._stored(other)
    assert len(cache_files(tmp_path)) == 1


def test_processes_add_to_one_cache(files, reads, monkeypatch):
    for one in files:
        forget(monkeypatch)
        read_contents([one], one.parent)
    forget(monkeypatch)
    hashes(files)
    assert len(reads) == 3


def test_files_that_keep_changing_and_files_that_are_gone(files, reads, monkeypatch):
    known = read_contents(files, files[0].parent)
    files[1].unlink()
    assert have_changed(known, files[0].parent) == [files[1]]
    with pytest.raises(FileNotFoundError):
        hashes(files)
    numbers = iter(range(100))
    monkeypatch.setattr(contents, "_stamp", lambda _: str(next(numbers)))
    with pytest.raises(ValueError, match="a keeps changing while it is read: wait until nothing writes to it"):
        read_contents(files[:1], files[0].parent)
    assert have_changed({files[0]: known[files[0]]}, files[0].parent) == [files[0]]


def test_reading_that_takes_long_is_told(files, reads, monkeypatch, capsys):
    monkeypatch.setattr(contents, "_QUIET", -1.0)
    hashes(files)
    assert f"reading {files[0].parent} to know it again: 3/3 files\n" in capsys.readouterr().err


def test_folders_with_links_and_circles(files, reads, tmp_path):
    folder = files[0].parent
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside/d").write_text("d")
    (folder / "link").symlink_to(tmp_path / "beside")
    (folder / "round").symlink_to(folder)
    (folder / "broken").symlink_to(tmp_path / "nothing")
    before = fingerprints([folder, tmp_path / "nothing"])
    assert before[str(tmp_path / "nothing")] == "absent"
    time.sleep(TICK)
    (tmp_path / "beside/d").write_text("D")
    assert fingerprints([folder])[str(folder)] != before[str(folder)]
    (tmp_path / "beside/d").write_text("d")
    assert fingerprints([folder])[str(folder)] == before[str(folder)]


class Tree:
    """Files, and edits that a user might make; what they hold by name is all that may count."""

    def __init__(self, folder, draw):
        self.root, self.draw, self.count = folder / "tree0", draw, 0
        self.root.mkdir()
        for number in range(4):
            self.named(f"{number}.png").write_bytes(self.bytes())

    def bytes(self):
        return bytes(self.draw.choice(b"xy") for _ in range(4))  # equal contents of two files are common

    def named(self, name):
        return self.root / name

    def some(self):
        return self.draw.choice(sorted(self.root.iterdir()))

    def new(self):
        self.count += 1
        return self.count

    def holds(self):
        return {path.name: path.read_bytes() for path in sorted(self.root.iterdir())}

    def in_place(self):
        path, times = self.some(), None
        if self.draw.random() < 0.5:
            times = path.stat()
        with path.open("r+b") as file:
            file.write(self.bytes())
        if times:
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def swap(self):
        one, other, aside = self.some(), self.some(), self.root.parent / f"aside{self.new()}"
        if one != other:
            one.rename(aside)
            other.rename(one)
            aside.rename(other)

    def touch(self):
        os.utime(self.some(), ns=(self.draw.randrange(10**18), self.draw.randrange(10**18)))

    def move(self):
        moved = self.root.parent / f"tree{self.new()}"
        if self.draw.random() < 0.5:
            self.root.rename(moved)
        else:
            moved.mkdir()
            for name, raw in self.holds().items():
                (moved / name).write_bytes(raw)
        self.root = moved

    def rename(self):
        self.some().rename(self.named(f"{self.new()}.png"))

    def link(self):
        path = self.some()
        beside = self.root.parent / f"beside{self.new()}"
        beside.write_bytes(path.read_bytes() if self.draw.random() < 0.7 else self.bytes())
        path.unlink()
        path.hardlink_to(beside) if self.draw.random() < 0.5 else path.symlink_to(beside)

    def change_what_a_link_points_to(self):
        links = [path for path in self.root.parent.iterdir() if path.name.startswith("beside")]
        if links:
            self.draw.choice(sorted(links)).write_bytes(self.bytes())

    def replace(self):
        path, scratch = self.some(), self.root.parent / "scratch"
        scratch.write_bytes(path.read_bytes() if self.draw.random() < 0.5 else self.bytes())
        scratch.replace(path)

    def mode(self):
        self.some().chmod(0o600)

    edits = (in_place, in_place, swap, touch, move, rename, link, change_what_a_link_points_to, replace, mode)


def edit_and_compare(folder, seed, edits, monkeypatch, identity):
    """After every edit: the identity is that of the moment before, if and only if each name has the same content."""
    draw = random.Random(seed)
    tree = Tree(folder, draw)
    time.sleep(TICK)
    seen = {str(tree.holds()): identity(tree.root)}
    for _ in range(edits):
        edit = draw.choice(tree.edits)
        edit(tree)
        time.sleep(TICK)
        if draw.random() < 0.5:
            forget(monkeypatch)
        if draw.random() < 0.1:
            for path in (folder / "cache/contents").iterdir():
                path.write_bytes(path.read_bytes()[: draw.randrange(200)])
        found = identity(tree.root)
        assert seen.setdefault(str(tree.holds()), found) == found, edit.__name__
        assert len(set(seen.values())) == len(seen), edit.__name__


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 40))])
def test_an_identity_follows_content_by_name_and_nothing_else(tmp_path, reads, monkeypatch, seed):
    edit_and_compare(tmp_path, seed, 60, monkeypatch, lambda root: fingerprints([root])[str(root)])
