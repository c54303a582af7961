"""tools/prepare_data.py: answers and exit codes; in this process, because imports take seconds."""

import errno
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from mmseg_tfovss.datasets.facts import FACTS, PREPARED
from mmseg_tfovss.prepare import build, recipes
from tests.prepare import official

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools/prepare_data.py"
LABELS = "ade/ADEChallengeData2016/annotations/validation"


@pytest.fixture
def tool(monkeypatch, capsys, tmp_path):
    """Run the tool in an empty folder, by default in one process: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    official.convert_in_this_process(monkeypatch)
    specification = importlib.util.spec_from_file_location("prepare_data", TOOL)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["prepare_data.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            module.main()
        answer = capsys.readouterr()
        return stop.value.code or 0, answer.out, answer.err

    return run


@pytest.fixture
def archives(tmp_path):
    return official.make_archives(tmp_path / "data/archives")


@pytest.fixture
def small(monkeypatch):
    """Benchmarks that are complete with two images."""
    for key in PREPARED:
        monkeypatch.setitem(FACTS, key, replace(FACTS[key], images=2))


@pytest.mark.slow
def test_as_a_user_starts_it(archives, tmp_path):
    command = [sys.executable, TOOL, "ade20k", "context59", "--archives", archives, "--root", "sets", "--workers", "2"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == [
        "ade20k: 2 images with annotations in sets/ade/ADEChallengeData2016 (4 files written)",
        "context59: 2 images with annotations in sets/VOCdevkit/VOC2010 (4 files written)",
    ]
    assert [line.partition(" images")[0] for line in answer.stderr.splitlines()] == [
        "warning: ade20k has 2",
        "warning: context59 has 2",
    ]


def test_help_imports_nothing_slow():
    code = (
        "import runpy, sys; sys.argv = ['prepare_data.py', '--help']\n"
        "try: runpy.run_path(TOOL, run_name='__main__')\n"
        "finally: print(sorted({'torch', 'numpy', 'rich', 'mmengine'} & set(sys.modules)))"
    ).replace("TOOL", repr(str(TOOL)))
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0
    assert "usage: prepare_data.py" in answer.stdout
    assert answer.stdout.splitlines()[-1] == "[]"


def test_folders_by_default(tool, archives, tmp_path, small):
    assert tool("ade20k") == (
        0,
        "ade20k: 2 images with annotations in data/ade/ADEChallengeData2016 (4 files written)\n",
        "",
    )
    assert len(list((tmp_path / "data" / LABELS).iterdir())) == 2
    assert tool("ade20k") == (
        0,
        "ade20k: 2 images with annotations in data/ade/ADEChallengeData2016 (prepared already, nothing was done)\n",
        "",
    )


def test_archives_lie_below_the_root_unless_told_otherwise(tool, archives, tmp_path, small):
    archives.rename(tmp_path / "downloads")
    code, _, err = tool("ade20k", "--root", "sets")
    assert (code, err.partition(" is missing")[0]) == (1, "error: sets/archives/ADEChallengeData2016.zip")
    assert tool("ade20k", "--root", "sets", "--archives", "downloads")[0] == 0
    assert (tmp_path / "sets" / LABELS).is_dir()


def test_another_number_of_images_is_a_warning(tool, archives):
    code, out, err = tool("ade20k")
    assert (code, out.count("\n")) == (0, 1)
    assert err.startswith("warning: ade20k has 2 images here, but the benchmark has 2000: the archives are not")


@pytest.mark.parametrize(("typed", "near"), [("voc12", "voc21"), ("context", "context60"), ("ade", "ade20k")])
def test_unknown_dataset_offers_near_ones(typed, near, tool, archives):
    code, out, err = tool("ade20k", typed)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: Unknown dataset '{typed}'. Did you mean ")
    assert near in err.partition("Did you mean ")[2].partition("?")[0]
    assert err.endswith(f" Valid: {', '.join(PREPARED)}, all.\n")
    assert not [path for path in archives.parent.iterdir() if path != archives]


def test_unknown_dataset_like_no_other(tool):
    assert tool("kitti")[2].startswith("error: Unknown dataset 'kitti'. Valid: voc21, ")


@pytest.mark.parametrize("workers", [0, -1])
def test_number_of_workers_must_be_positive(workers, tool):
    for option in ((), ("--check",)):
        answer = tool("ade20k", "--workers", workers, *option)
        assert answer == (1, "", f"error: --workers must be a positive number, but got {workers}.\n")


@pytest.mark.parametrize("option", [("--download",), ("--archives", "data/archives")])
def test_check_refuses_options_that_would_do_nothing(option, tool, archives):
    message = f"error: --check reads only what is prepared, and makes nothing: leave {option[0]}.\n"
    assert tool("ade20k", "--check", *option) == (1, "", message)


def test_archives_are_a_folder(tool, archives):
    path = "data/archives/ADEChallengeData2016.zip"
    message = f"error: --archives {path} is a file: name the folder that holds it.\n"
    assert tool("ade20k", "--archives", path) == (1, "", message)


def test_workers_reach_the_processes(tool, archives, monkeypatch):
    asked = []
    monkeypatch.setattr(build, "run_jobs", lambda jobs, *, total, workers, title: asked.append((workers, title)) or 0)
    tool("ade847", "--workers", 3)
    tool("ade847")
    assert asked == [(workers, f"ade847: {title}") for workers in (3, 1) for title in ("images", "annotations")]


@pytest.mark.parametrize(
    ("key", "name", "remedy"),
    [
        ("ade20k", "ADEChallengeData2016.zip", "add --download to fetch it, or get it from http"),
        ("ade847", "ADE20K_2021_17_01.zip", "its download needs an account, so get ADE20K_2021_17_01.zip from https"),
    ],
)
def test_missing_archive_says_how_to_get_it(key, name, remedy, tool, archives):
    (archives / name).unlink()
    code, out, err = tool(key)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"error: data/archives/{name} is missing: {remedy}")


def test_download_does_not_help_where_an_account_is_needed(tool):
    code, _, err = tool("ade847", "--download")
    assert code == 1
    assert "its download needs an account" in err


def test_one_that_fails_does_not_stop_the_others(tool, archives, small):
    (archives / "trainval_merged.json").write_text("{")
    code, out, err = tool("ade20k", "context60", "context59", "ade847")
    assert code == 1
    assert [line.partition(":")[0] for line in out.splitlines()] == ["ade20k", "ade847"]
    assert [line[:65] for line in err.splitlines()] == [
        "error: context60: data/archives/trainval_merged.json is damaged, ",
        "error: context59: data/archives/trainval_merged.json is damaged, ",
    ]


def test_several_that_succeed_and_names_given_twice(tool, archives, small):
    code, out, err = tool("ade847", "ade20k", "ade847")
    assert (code, err) == (0, "")
    assert [line.partition(":")[0] for line in out.splitlines()] == ["ade847", "ade20k"]


def test_all(tool, archives, small):
    code, out, err = tool("all")
    assert (code, [line.partition(":")[0] for line in out.splitlines()]) == (0, list(PREPARED))
    assert "error" not in err
    code, out, err = tool("all", "--check")
    assert (code, err) == (0, "")
    assert [line.partition(" images")[0] for line in out.splitlines()] == [f"{key}: complete: 2" for key in PREPARED]


def test_all_with_every_archive_missing(tool):
    code, out, err = tool("all")
    assert (code, out) == (1, "")
    assert [line.split(":")[1].strip() for line in err.splitlines()] == list(PREPARED)


def test_damaged_archive_is_one_sentence(tool, archives):
    path = archives / "ADEChallengeData2016.zip"
    path.write_bytes(path.read_bytes()[:-50])
    code, out, err = tool("ade20k")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("error: The archive data/archives/ADEChallengeData2016.zip is damaged (")


def test_full_disk_is_one_sentence(tool, archives, monkeypatch, tmp_path):
    def refuse(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    code, out, err = tool("ade20k")
    path = "data/ade/ADEChallengeData2016/images/validation/ADE_val_00000001.jpg"
    assert (code, out, err) == (1, "", f"error: {path}: No space left on device.\n")
    assert not [file for file in (tmp_path / "data/ade").rglob("*") if file.is_file()]


def test_file_as_root_is_one_sentence(tool, archives, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = tool("ade20k", "--root", "file", "--archives", archives)
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("error: file/ade/ADEChallengeData2016/")
    assert err.endswith(": Not a directory.\n")


def test_interruption(tool, archives, monkeypatch):
    def interrupt(path, content):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupt)
    assert tool("ade20k", "ade847") == (130, "", "interrupted\n")


# Unpacked and prepared data


def test_unpacked_archive_is_used_and_named(tool, archives, tmp_path, small):
    shutil.unpack_archive(archives / "ADEChallengeData2016.zip", tmp_path / "mine/ade")
    code, out, _ = tool("ade20k", "--archives", "mine", "--root", "sets")
    assert (code, out) == (0, "ade20k: 2 images with annotations in sets/ade/ADEChallengeData2016 (4 files written)\n")
    assert tool("ade20k", "--root", "sets", "--check")[0] == 0


def test_benchmark_that_is_prepared_elsewhere_is_named_with_the_option_that_takes_it(tool, archives, small):
    tool("coco_object")
    folder = Path.cwd() / "data/coco_stuff164k"
    code, out, err = tool("coco_object", "--archives", "data/coco_stuff164k", "--root", "sets")
    assert (code, err) == (0, "")
    assert out == (
        f"coco_object: 2 images with annotations in {folder} (prepared already, nothing was done; use it with"
        f" --cfg-options test_dataloader.dataset.data_root={folder})\n"
    )


def test_file_that_kills_its_reader_is_one_sentence(tool, archives, small):
    official.alter(
        archives / "trainval.tar.gz",
        lambda members: members.update({"trainval/2008_000002.mat": official.crashing_label_map()}),
    )
    code, out, err = tool("pc459", "ade20k", "--workers", 2)
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("error: pc459: trainval.tar.gz: trainval/2008_000002.mat: ")
    assert out.startswith("ade20k: 2 images")


# --check


def test_check_of_a_complete_benchmark(tool, archives, small):
    tool("pc459")
    archives.rename(archives.with_name("elsewhere"))
    expected = "pc459: complete: 2 images with annotations in data/VOCdevkit/VOC2010, labels 0 .. 65535\n"
    assert tool("pc459", "--check", "--workers", 2) == (0, expected, "")


def test_check_makes_nothing(tool, archives, tmp_path):
    code, out, err = tool("voc21", "--check", "--root", "sets")
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        "voc21: The list of images sets/VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt does not exist.",
        "voc21: make missing files with: tfovss prepare voc21 --root sets",
    ]
    assert not (tmp_path / "sets").exists()


def test_check_names_what_is_missing_and_what_is_wrong(tool, archives, small, tmp_path):
    tool("ade20k", "ade847")
    first, second = sorted((tmp_path / "data" / LABELS).iterdir())
    first.unlink()
    Image.new("L", (9, 6), 200).save(second)
    code, out, err = tool("ade20k", "ade847", "--check")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[:4] == [
        f"ade20k: data/{LABELS}/{first.name} does not exist.",
        f"ade20k: The annotation data/{LABELS}/{second.name} holds the label 200, outside 0 .. 150 and 255.",
        "ade20k: delete the wrong files (1); they are then made again",
        "ade20k: make missing files with: tfovss prepare ade20k --root data",
    ]
    assert lines[4].startswith("ade847: complete: 2 images")
    tool("ade20k")
    assert [line.partition(" ")[2][:10] for line in tool("ade20k", "--check")[1].splitlines()] == [
        "The annota",
        "delete the",
        "make missi",
    ]
    second.unlink()
    assert tool("ade20k")[0] == 0
    assert tool("ade20k", "--check")[0] == 0


def test_check_without_anything_wrong_but_the_number(tool, archives):
    tool("ade20k")
    code, out, _ = tool("ade20k", "--check")
    assert code == 1
    assert out.startswith("ade20k: data/ade/ADEChallengeData2016/images/validation has 2 of 2000 images.\n")


def test_of_many_problems_ten_are_shown(tool, tmp_path):
    folder = tmp_path / "data/coco_stuff164k/images/val2017"
    folder.mkdir(parents=True)
    for number in range(13):
        (folder / f"{number:012d}.jpg").touch()
    lines = tool("coco_object", "--check")[1].splitlines()
    assert lines[0] == "coco_object: data/coco_stuff164k/images/val2017 has 13 of 5000 images."
    assert "000000000008_instanceTrainIds.png does not exist." in lines[9]
    assert lines[10] == "coco_object: ... and 4 more"
    assert len(lines) == 12


# --download


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(archives, monkeypatch, tmp_path):
    """The archives on a local server, as ade20k's recipe now says."""
    folder = archives.rename(tmp_path / "server")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    content = (folder / "ADEChallengeData2016.zip").read_bytes()
    known = {"size": len(content), "checksum": f"md5:{hashlib.md5(content).hexdigest()}"}

    def offer(**changes):
        url = f"http://127.0.0.1:{server.server_port}/ADEChallengeData2016.zip"
        archive = replace(recipes.ADE2016, **{"url": url, **known, **changes})
        monkeypatch.setattr(recipes, "ADE2016", archive)
        monkeypatch.setitem(recipes.RECIPES, "ade20k", replace(recipes.RECIPES["ade20k"], archives=(archive,)))

    offer()
    yield offer
    server.shutdown()
    server.server_close()


def test_download_to_a_checked_benchmark(server, tool, small, tmp_path):
    code, _, err = tool("ade20k")
    assert (code, "add --download" in err) == (1, True)
    assert tool("ade20k", "--download")[::2] == (0, "")
    assert [path.name for path in (tmp_path / "data/archives").iterdir()] == ["ADEChallengeData2016.zip"]
    assert tool("ade20k", "--check")[0] == 0


def test_download_of_another_file_makes_nothing(server, tool, tmp_path):
    server(checksum="md5:" + "0" * 32)
    code, out, err = tool("ade20k", "--download")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "is not the official ADEChallengeData2016.zip" in err
    assert not list((tmp_path / "data/archives").iterdir())
    assert not (tmp_path / "data/ade").exists()


def test_complete_benchmark_downloads_nothing(server, tool, small):
    tool("ade20k", "--download")
    server(url="http://127.0.0.1:9/nobody.zip", size=1)
    assert tool("ade20k", "--download", "--archives", "none")[0] == 0
