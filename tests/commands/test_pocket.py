"""tfovss benchmark-pocket: two methods on two scenes, as forks of this process."""

import json
import os
from pathlib import Path

import pytest

from mmseg_tfovss import commands
from mmseg_tfovss.cluster import pocket_list
from mmseg_tfovss.commands import pocket
from mmseg_tfovss.pocket import files, scenes

MEASURED = {"seconds_per_image", "peak_memory_mb", "finished_at"}
SUBSET = "test_dataloader.dataset.subset=2"


@pytest.fixture
def start(tmp_path_factory, tmp_path, monkeypatch, capfd):
    """Run the benchmark on two of four scenes in an empty folder: exit code, lines, errors."""
    root = tmp_path_factory.mktemp("scenes") / "pocket"
    monkeypatch.setattr(scenes, "NUM_VALIDATION", 4)
    scenes._write_scenes(root)
    monkeypatch.setattr(scenes, "VALIDATION_SHA256", scenes.compute_digests(root))
    monkeypatch.setattr(files, "scenes_folder", lambda: root)
    monkeypatch.setattr(pocket_list, "SUBSET", 2)
    monkeypatch.setattr(pocket_list, "choose_methods", lambda names: {name: choose(name) for name in names})
    monkeypatch.setattr("mmseg_tfovss.cluster.launch.share_memory", lambda: None)  # conftest.py has done so
    monkeypatch.setattr(pocket, "_OVERLAYS", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        try:
            code = pocket.main(arguments, "tfovss benchmark-pocket")
        except SystemExit as end:
            code = end.code
        said = capfd.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return call


def refuse(words):
    """In place of the command: one of the runs fails."""
    if "maskclip" in words[1]:
        raise SystemExit("error: no luck.")
    return run_command(words)


run_command, choose_methods = commands.main, pocket_list.choose_methods


def choose(name):
    """One of a method's two configs is enough."""
    return choose_methods([name])[name][:1]


def test_a_run_that_fails_does_not_lose_others_and_is_tried_again(start, monkeypatch):
    monkeypatch.setattr(commands, "main", refuse)
    code, out, err = start("--methods", "clip", "maskclip", "--jobs", "2")
    assert code == 1
    assert out[0] == "Running 2 of 2 configs on 2 of 200 scenes, 2 at a time. Scores are mIoU."
    assert [line.split(";")[0].split(" pocket_all")[0] for line in sorted(out[1:3], key=len)] == [
        "[2/2] clip:",
        "[1/2] maskclip: no result",
    ]
    failed = Path("work_dirs/maskclip_vit-pocket_pocket_all_2-of-200")
    assert err == [f"error: {failed.name}: no luck. (exit code 1), see {failed}/local.out"]
    assert sum("2 of 200" in line for line in out if line.startswith("│")) == 1
    page = Path("work_dirs/leaderboard_2-of-200/leaderboard.html").absolute()
    assert out[-1] == f"Page: {page}"
    assert page.is_file()

    monkeypatch.setattr(commands, "main", run_command)
    code, out, err = start("--methods", "clip", "maskclip", "--jobs", "2")
    assert (code, err) == (0, [])
    assert out[:2] == [
        "1 of 2 runs have finished already.",
        "Running 1 of 2 configs on 2 of 200 scenes, 2 at a time. Scores are mIoU.",
    ]
    assert out[2].startswith("[1/1] maskclip: pocket_all ")
    assert start("--methods", "clip", "maskclip")[1][0] == "2 of 2 runs have finished already."
    check_result(failed, Path("alone"))


def check_result(made, alone):
    """It is that of ``tfovss test``, but for what was measured; and what it is of is recorded."""
    config = made.name.removesuffix("_2-of-200")
    root = f"test_dataloader.dataset.data_root={files.scenes_folder()}"
    assert not commands.main(["test", config, "--work-dir", str(alone), "--cfg-options", SUBSET, root])
    one, other = (json.loads((folder / "result.json").read_text()) for folder in (made, alone))
    assert one.keys() == other.keys()
    assert {name for name in one if one[name] != other[name]} <= MEASURED
    assert (one["dataset"], one["num_images"], one["expected_images"]) == ("pocket_all", 2, 200)
    assert one["settings"]["test_dataloader.dataset.subset"] == "2"
    assert len(list((made / "overlays").iterdir())) == 1


def test_mistakes_are_told_before_anything_runs(start, tmp_path):
    code, _, [err] = start("--methods", "sclp")
    assert code == 1
    assert err.startswith("error: unknown method 'sclp' on the pocket benchmark. Did you mean sclip")
    assert start("--jobs", "0")[2][-1].endswith("--jobs: takes a number of runs, 1 or more, but got '0'")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_without_a_result(start, monkeypatch):
    monkeypatch.setattr(commands, "main", refuse)
    code, _, err = start("--methods", "maskclip")
    assert code == 1
    assert err[-1] == "error: No run has a result, so work_dirs/leaderboard_2-of-200 is not written."
    assert not Path("work_dirs/leaderboard_2-of-200").exists()


def test_gpus_are_used_by_processes(monkeypatch):
    started = []
    monkeypatch.setattr("mmseg_tfovss.cluster.launch.new_process", lambda *arguments: started.append(arguments))
    pocket.launcher(["0"], [])(["test", "x.py"], "log", {"CUDA_VISIBLE_DEVICES": "0"})
    [(words, log, environment)] = started
    assert words[1:] == ["-m", "mmseg_tfovss", "test", "x.py"]
    assert (log, environment) == ("log", {"CUDA_VISIBLE_DEVICES": "0"})


def test_full_and_part_are_apart(tmp_path):
    part, full = (pocket.settings(pocket.parse_arguments(words), tmp_path) for words in ([], ["--full"]))
    assert part == ["test_dataloader.dataset.subset=50", *full]
    assert os.environ.get("OMP_NUM_THREADS", "1")


def test_methods_whose_packages_are_missing_are_left_out_or_refused_first(monkeypatch, capsys):
    monkeypatch.setattr("mmseg_tfovss.encoders.packages.is_installed", lambda name: name != "diffusers")
    methods = {name: choose_methods([name])[name] for name in ("sclip", "dslo", "proxyclip")}
    assert list(pocket.able(methods, asked=False)) == ["sclip", "proxyclip"]
    said = capsys.readouterr().out
    assert "Left out, because packages are missing: dslo; pip install 'mmseg_tfovss[all]' installs diffusers." in said
    with pytest.raises(ValueError, match=r"dslo: packages are missing; pip install 'mmseg_tfovss\[all\]' installs"):
        pocket.able(methods, asked=True)
    monkeypatch.setattr("mmseg_tfovss.encoders.packages.is_installed", lambda _: True)
    assert pocket.able(methods, asked=True) == methods


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"--out .*file/x cannot be written \(Not a directory\): name another folder"):
        pocket.check_writable(tmp_path / "file" / "x")
    pocket.check_writable(tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())
