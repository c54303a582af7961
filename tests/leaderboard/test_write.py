"""The leaderboard's files, and its command line."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmseg_tfovss.evaluation.result import write_result
from mmseg_tfovss.leaderboard import write as leaderboard
from tests.evaluation.test_result import make_result
from tests.leaderboard.boards import scored

ROOT = Path(__file__).parents[2]
FILES = ["leaderboard.md", "leaderboard.csv", "leaderboard.tex", "leaderboard_runs.csv", "leaderboard.html"]


@pytest.fixture
def runs(tmp_path):
    write_result(scored(16.2, method="CLIP"), tmp_path / "runs/clip_voc21")
    write_result(make_result(), tmp_path / "runs/sclip_voc21")
    return tmp_path / "runs"


def start(*arguments, cwd):
    command = [sys.executable, ROOT / "tools/leaderboard.py", *map(str, arguments)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_files_are_the_same_each_time_and_replaced_as_a_whole(runs, tmp_path, monkeypatch):
    board = leaderboard.make_board(leaderboard.collect_results([runs]))
    paths = leaderboard.write_leaderboard(board, tmp_path / "out")
    assert [path.name for path in paths] == FILES
    first = [path.read_bytes() for path in paths]
    leaderboard.write_leaderboard(board, tmp_path / "out")
    assert [path.read_bytes() for path in paths] == first

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match="No space left"):
        leaderboard.write_leaderboard(board, tmp_path / "out")
    assert [path.read_bytes() for path in paths] == first
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)


def main_of_the_tool(*arguments):
    """``main`` of tools/leaderboard.py, in this process: its imports take seconds."""
    specification = importlib.util.spec_from_file_location("leaderboard_tool", ROOT / "tools/leaderboard.py")
    tool = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(tool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["leaderboard.py", *arguments])
        return tool.main()


def test_complete_results_exit_with_0(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main_of_the_tool("runs", "--out", "board", "--published") == 0
    output, errors = capsys.readouterr()
    assert "Written: board/leaderboard.md" in output
    assert errors == ""
    assert "## Published numbers" in (tmp_path / "board/leaderboard.md").read_text()


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (scored(16.2, dataset="pocket_all"), "--published adds nothing: no source prints a number for pocket_all.\n"),
        (scored(16.2, method="Mine"), "--published: no printed number stands beside a result, because none"),
        (scored(16.2, method="SCLIP"), ""),
    ],
)
def test_published_numbers_that_fit_no_result_are_a_sentence(result, said, tmp_path, capsys):
    write_result(result, tmp_path / "runs/one")
    assert main_of_the_tool(f"{tmp_path}/runs", "--out", f"{tmp_path}/board", "--published") == 0
    error = capsys.readouterr().err
    assert error.startswith(said)
    assert error.count("\n") == bool(said)


def test_published_tables_are_shown_whole_without_results(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main_of_the_tool("--published", "--out", "board") == 0
    assert "Written: board/leaderboard.md" in capsys.readouterr().out
    [quoted] = [line for line in (tmp_path / "board/leaderboard.md").read_text().splitlines() if "OVSeg" in line]
    assert "as quoted by CLIPtrase" in quoted
    assert "92.6" in quoted
    for unclear in (["--out", "board"], ["--published", "--watch", "5", "--out", "board"]):
        with pytest.raises(SystemExit, match="2"):
            main_of_the_tool(*unclear)
        assert "name the result folders, for example work_dirs" in capsys.readouterr().err


def test_what_does_not_count_is_named_in_every_file_and_in_the_exit_code(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_result(make_result(method="NACLIP", expected_images=1449), runs / "naclip_voc21")
    (runs / "broken").mkdir()
    (runs / "dslo_voc21/state").mkdir(parents=True)
    (runs / "broken/result.json").write_text("{")
    assert main_of_the_tool("runs", "--out", "board") == 3
    output, errors = capsys.readouterr()
    assert "59.12" in output
    assert "does not count: runs/broken/result.json is not a result file" in errors
    assert "does not count: runs/dslo_voc21 has not finished" in errors
    assert "does not count: runs/naclip_voc21/result.json is partial: 10 of 1449 images" in errors
    for name in ("leaderboard.md", "leaderboard.tex", "leaderboard.html"):
        text = (tmp_path / "board" / name).read_text()
        assert "runs/broken/result.json" in text
        assert "dslo" in text
        assert "partial: 10 of 1449" in text


def test_results_of_one_run_are_named_and_their_newest_counts(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_result(make_result(finished_at="2026-02-02T00:00:00+00:00"), runs / "newer")
    assert main_of_the_tool("runs", "--out", "board") == 3
    duplicate = "runs/sclip_voc21/result.json is a duplicate: runs/newer/result.json holds the same run"
    assert f"does not count: {duplicate}" in capsys.readouterr().err
    for name in ("leaderboard.md", "leaderboard.html", "leaderboard.tex"):
        text = (tmp_path / "board" / name).read_text().replace(r"\_", "_")
        text = text.replace("<code>", "").replace("</code>", "")
        assert duplicate in text
        assert "59.12" in text


def test_hostile_names_send_nothing_to_the_terminal(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    evil = "\x1b[31mred\x1b]0;title\x07\u202e\r\n"
    write_result(make_result(method=evil, backbone=evil, dataset=evil, overrides={evil: evil}), runs / "\x1b[2J")
    (runs / "\x1b[1A").mkdir()
    (runs / "\x1b[1A/result.json").write_text("{")
    write_result(make_result(protocol=evil), runs / "b")
    assert main_of_the_tool("runs", "--out", "board:smile:\x1b") == 3
    output, errors = capsys.readouterr()
    assert all(line.isprintable() for line in (output + errors).split("\n"))
    assert r"\x1b[31mred\x1b]0;title\x07\u202e" in output
    assert r"Written: board:smile:\x1b/leaderboard.md" in output
    assert r"does not count: runs/\x1b[1A/result.json is not a result file" in errors


def test_nothing_to_show_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(SystemExit, match="1"):
        main_of_the_tool("runs", "--out", "board")
    assert "tfovss benchmark-pocket" in capsys.readouterr().err
    (tmp_path / "runs/result.json").write_text("{")
    with pytest.raises(SystemExit, match="1"):
        main_of_the_tool("runs", "--out", "board")
    assert "No result counts, so nothing is written: runs/result.json" in capsys.readouterr().err
    assert not (tmp_path / "board").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "file"], "argument --out: must name a folder, which is made if needed, but file is a file"),
        (["--out", "file/below"], "argument --out: must name a folder, which is made if needed, but file is a file"),
        (["--out", ""], "argument --out: must name a folder, which is made if needed, but got an empty name"),
        (
            ["--out", "board", "--watch", "runs"],
            "argument --watch: takes a number of seconds above 0 and at most 864",
        ),
        (["--out", "board", "--watch", "nan"], "argument --watch: takes a number of seconds"),
    ],
)
def test_mistakes_on_the_command_line_name_the_option(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="2"):
        main_of_the_tool("runs", *arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("results", [[], [make_result()]])
def test_watching_ends_with_ctrl_c_and_says_whether_there_is_a_board(results, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for result in results:
        write_result(result, tmp_path / "runs/a")
    page = tmp_path / "board/leaderboard.html"
    reloads = []

    def interrupt(_):
        reloads.append("refresh" in page.read_text() if results else page.exists())
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    assert main_of_the_tool("runs", "--out", "board", "--watch") == 0
    end = capsys.readouterr().out.splitlines()[-1]
    if results:
        assert end == "Stopped watching; the leaderboard is in board."
        assert reloads == [True]
        assert "refresh" not in page.read_text()
    else:
        assert end == "Stopped watching; no result has counted, so nothing is written."
        assert reloads == [False]


def test_a_folder_whose_name_is_no_utf_8(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runs.rename(os.fsdecode(b"runs-\xff"))
    (tmp_path / os.fsdecode(b"runs-\xff") / "empty/state").mkdir(parents=True)
    assert main_of_the_tool(os.fsdecode(b"runs-\xff"), "--out", os.fsdecode(b"board-\xff")) == 3
    output, errors = capsys.readouterr()
    assert "Written: board-\\xff/leaderboard.md" in output
    assert "does not count: runs-\\xff/empty has not finished" in errors


@pytest.mark.slow
def test_watching_ends_with_ctrl_c(runs, tmp_path):
    process = start("runs", "--out", "board", "--watch", "0.1", cwd=tmp_path)
    lines = [process.stdout.readline() for _ in range(2)]
    assert lines[0] == "new runs/clip_voc21/result.json: CLIP on voc21 (paper) mIoU 16.20\n"
    write_result(make_result(method="NACLIP"), runs / "naclip_voc21")
    assert process.stdout.readline().startswith("new runs/naclip_voc21/result.json: NACLIP on voc21")
    assert "NACLIP" in (tmp_path / "board/leaderboard.md").read_text()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert output == "Stopped watching; the leaderboard is in board.\n"
    assert errors == ""
    assert process.returncode == 0
