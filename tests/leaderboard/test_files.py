"""Where results lie."""

import os
import random
from pathlib import Path

from mmseg_tfovss.evaluation.result import write_result
from mmseg_tfovss.leaderboard.files import find_results
from tests.evaluation.test_result import make_result


def test_links_to_runs_are_followed_once_and_circles_end(tmp_path):
    runs, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    write_result(make_result(), elsewhere / "a")
    runs.mkdir()
    (runs / "a").symlink_to(elsewhere / "a")
    (runs / "again").symlink_to(elsewhere / "a")
    write_result(make_result(), runs / "z")
    (runs / "latest").symlink_to("z")
    (runs / "circle").symlink_to(runs)
    (runs / "itself").symlink_to("itself")
    found = find_results([runs, runs / "itself"])
    assert [path.relative_to(runs).as_posix() for path in found.files] == ["z/result.json", "a/result.json", "itself"]
    assert found.unfinished == ()


def test_a_folder_that_cannot_be_looked_into_is_named(tmp_path, monkeypatch):
    write_result(make_result(), tmp_path / "a")
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_results([tmp_path])
    assert [path.parent.name for path in found.files] == ["a"]
    [item] = found.unfinished
    assert (item.path, item.reason) == (tmp_path / "locked", "cannot be looked into: Permission denied.")


def test_every_result_below_is_found_however_folders_are_named(tmp_path):
    draw = random.Random(0)
    names = ("a", " ", "result.json", "state", "[x]*", "-rf", "é", os.fsdecode(b"\xff"), "new\nline", "\x1b[31m")
    folders = {tmp_path.joinpath(*draw.choices(names, k=draw.randint(1, 4))) for _ in range(40)}
    for folder in folders:
        write_result(make_result(), folder / "run")
    assert {path.parent.parent for path in find_results([tmp_path]).files} == folders
