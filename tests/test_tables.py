"""Tables of the documentation are replaced in place, by commands that run."""

import random
import re
import sys
from pathlib import Path

import pytest

from mmseg_tfovss.catalogue import find_config
from mmseg_tfovss.sweeps.table import to_markdown
from tests import tables
from tests.tables import BENCHMARK, ROOT, Table, Task

TOY = """# Title

Text with `tools/sweep.py` and 12.34.
| no command | above it |
| --- | --- |
| 12.34 | 1 |

**One (Table 1).** `tools/sweep.py a.py model.k=1,2 --samples 2`. At 1 it is 12.34, not 112.34 or 12.345.

| k | mIoU |
| --- | ---: |
| 1 | 12.34 |
| 2 | **20.00** |

```bash
tools/sweep.py a.py model.k=1,2
```

**Two.** What `tools/sweep.py b.py model.t=1` gives.

| t | mIoU |
| --- | --- |
| 1 | 5.00 |

A few words
about `make benchmark-full`:

| method | pocket_all (14 classes) |
| --- | --- |
| [LHT-CLIP](x.md) around SCLIP | 1.0 |
| DSLO, optimal path (whole images) | 2.0 |

The end"""
ONE = Table(["k", "mIoU"], [["1", "**21.00**"], ["2", "20.00"]])
BOARD = """Protocol,Method,Backbone,Setting,pocket_all,Partial
paper,LHTCLIP,b,around SCLIP,9.99,
unified,LHTCLIP,b,around SCLIP,51.61,
unified,DSLO,b,maximum velocity,41.16,
unified,DSLO,b,optimal path,42.43,
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A file in an empty folder, with a leaderboard."""
    monkeypatch.chdir(tmp_path)
    tables.LEADERBOARD.parent.mkdir(parents=True)
    tables.LEADERBOARD.write_text(BOARD)
    Path("toy.md").write_text(TOY)
    return Path("toy.md")


def test_tables_with_a_command_are_found(toy):
    found = tables.choose_tasks([toy], [])
    assert [(task.title, task.command) for task in found] == [
        ("One (Table 1)", "tools/sweep.py a.py model.k=1,2 --samples 2"),
        ("Two", "tools/sweep.py b.py model.t=1"),
        (BENCHMARK, BENCHMARK),
    ]
    assert found[0].table == Table(["k", "mIoU"], [["1", "12.34"], ["2", "**20.00**"]], 1)
    assert found[0].folder == Path("work_dirs/tables/toy/one_table_1")


def test_what_works_is_replaced_and_what_fails_stays(toy, capsys):
    def run(tasks, jobs):
        assert jobs == 3
        return {tasks[0]: ONE}, {tasks[1]: "no such thing"}

    assert not tables.make_tables(tables.choose_tasks([toy], []), 3, run)
    changes = (
        ("| 1 | 12.34 |\n| 2 | **20.00** |", "| 1 | **21.00** |\n| 2 | 20.00 |"),
        ("SCLIP | 1.0 |", "SCLIP | 51.61 |"),
        ("images) | 2.0 |", "images) | 42.43 |"),
    )
    expected = TOY
    for old, new in changes:
        assert expected.count(old) == 1
        expected = expected.replace(old, new)
    assert toy.read_text() == expected
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "toy.md, One (Table 1), 1, mIoU: 12.34 -> **21.00**",
        "toy.md, One (Table 1), 2, mIoU: **20.00** -> 20.00",
        f"toy.md, {BENCHMARK}, [LHT-CLIP](x.md) around SCLIP, pocket_all (14 classes): 1.0 -> 51.61",
        f"toy.md, {BENCHMARK}, DSLO, optimal path (whole images), pocket_all (14 classes): 2.0 -> 42.43",
        "toy.md:3 still says 12.34, as the table 'One (Table 1)' did",
        "toy.md:8 still says 12.34, as the table 'One (Table 1)' did",
        "2 of 3 tables were made, 4 changes.",
    ]
    assert said.err == "failed: toy.md, Two: no such thing\n  tools/sweep.py b.py model.t=1\n"


def test_other_rows_or_columns_are_said(toy, capsys):
    wide = Table(["k", "t", "mIoU"], [["1", "0", "3.00"]], 2)
    assert tables.make_tables(tables.choose_tasks([toy], ["one"]), 1, lambda tasks, _: ({tasks[0]: wide}, {}))
    assert "| k | t | mIoU |\n| --- | --- | --- |\n| 1 | 0 | 3.00 |\n\n```bash" in toy.read_text()
    assert "toy.md, One (Table 1): has other rows or columns than before\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("board", "message"),
    [
        (None, "run `make benchmark-full` first"),
        (BOARD.replace("51.61", ""), "no single complete row for '.LHT-CLIP.*"),
        (BOARD.replace("optimal path", "optimal path theta=0.3"), "no single complete row for 'DSLO"),
        (BOARD + BOARD.splitlines()[-1] + "\n", "no single complete row for 'DSLO"),
        (BOARD.replace("optimal path", "optimal path,theta=0.3"), "no single complete row for 'DSLO"),
        (BOARD.replace("42.43,", ",pocket_all 42.43 (3 of 200)"), "no single complete row for 'DSLO"),
    ],
)
def test_a_leaderboard_that_does_not_fit_changes_nothing(toy, board, message, capsys):
    tables.LEADERBOARD.unlink()
    if board is not None:
        tables.LEADERBOARD.write_text(board)
    assert not tables.make_tables(tables.choose_tasks([toy], [BENCHMARK]), 1)
    assert toy.read_text() == TOY
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("text", "only", "message"),
    [
        (TOY, ["three"], "--only three: there is no such table: One .Table 1., Two"),
        ("Nothing\n", [], "No table stands below a command"),
        (TOY.replace("**Two.**", "**One (table 1)**"), [], "two are called 'One"),
        (TOY.replace("What `tools", f"`{BENCHMARK}` `tools"), [], "has 2 commands above it"),
    ],
)
def test_what_cannot_be_meant_is_refused(toy, text, only, message):
    toy.write_text(text)
    with pytest.raises(ValueError, match=message):
        tables.choose_tasks([toy], only)


def test_no_jobs_are_refused_under_their_own_name(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tables.py", "--jobs", "0"])
    with pytest.raises(SystemExit):
        tables.main()
    assert capsys.readouterr().err == "error: --jobs must be at least 1, but got 0.\n"


def test_sweeps_run_and_one_that_fails_takes_no_other_down(toy, monkeypatch, capsys):
    """With another program in Python's place, which starts sooner."""
    program = Path("program").absolute()
    text = TOY[TOY.index("| k |") : TOY.index("\n```")]
    program.write_text(
        f'#!/bin/sh\n[ "$2" = b.py ] && echo "error: no b" >&2 && exit 1\nfor out; do :; done\n'
        f'cat >"$out/sweep.md" <<E\n'
        f"| a | b |\n| --- | --- |\n| first | table |\n\n{text}E\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    tasks = tables.choose_tasks([toy], ["one", "two"])
    made, failed = tables.run_sweeps(tasks, 2)
    assert made == {tasks[0]: tasks[0].table}
    assert list(failed) == [tasks[1]]
    assert failed[tasks[1]].startswith("no b (exit code 1), see work_dirs/tables/toy/two/")
    assert "toy.md, One (Table 1): finished in 0:00:0" in capsys.readouterr().out


def test_a_sweeps_table_is_shortened():
    row = {"model.mode": "+ a", "model.k": "[9, 11]", "mIoU": "1", "pAcc": "", "mAcc": "", "fwIoU": "", "images": "1"}
    rows = [{"config": "c", "dataset": name, **row, "error": "", "run_hash": ""} for name in ("a_b", "c_d")]
    expected = [["+ a", "[9, 11]", "**1.00**", "**1.00**", "**1.00**"]]
    assert tables.swept_table(to_markdown(rows, "")) == Table(["mode", "k", "a_b", "c_d", "Avg."], expected, 2)
    [alone] = tables.swept_table(to_markdown([row | {"error": "", "run_hash": ""}], "")).rows
    assert alone == ["+ a", "[9, 11]", "**1.00**", "-", "-", "-", "1"]


def test_text_around_tables_stays_whatever_it_is():
    random.seed(0)
    for _ in range(300):
        parts = random.choices([*TOY.splitlines(keepends=True), "\n", "| a | b", "|", " | \n", "`", "# x\n"], k=30)
        text = "".join(parts)
        assert tables.replace_tables(text, {}) == text
        new = tables.replace_tables(text, {"tools/sweep.py b.py model.t=1": ONE})
        assert [line for line in new.splitlines() if not line.startswith("|")] == [
            line for line in text.splitlines() if not line.startswith("|")
        ]


# -- the documentation itself -----------------------------------------------------------------------------------------


def documented():
    return [task for file in tables.files_with_tables() for task in tables.find_tasks((ROOT / file).read_text(), file)]


def commands():
    """Those in running text, and those in blocks of code."""
    found = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        found += re.findall(rf"`({tables.SWEEP}[^`]*configs/[^`]*)`", path.read_text())
        found += re.findall(rf"^(?:\S*python )?({tables.SWEEP}(?:.*\\\n)*.*)$", path.read_text(), re.MULTILINE)
    return found


def test_every_table_of_the_documentation_is_replaced_by_itself():
    assert len(documented()) > 15
    for file in tables.files_with_tables():
        text = (ROOT / file).read_text()
        found = tables.find_tasks(text, file)
        assert found, file
        assert tables.replace_tables(text, {task.command: task.table for task in found}) == text


def test_every_command_of_the_documentation_can_be_read(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert len(commands()) > 18
    for command in commands():
        assert "..." not in command
        paths, swept, _ = tables.parse_sweep(command)
        assert paths, command
        assert all((find_config(str(path)) or path).is_file() for path in paths), command
        assert len(paths) > 1 or swept, command


def test_an_option_that_the_sweep_has_not_is_refused(capsys):
    with pytest.raises(ValueError, match="does not take the options of"):
        tables.parse_sweep("tools/sweep.py a.py --sample-count 3")
    with pytest.raises(ValueError, match="bash cannot read"):
        tables.parse_sweep("tools/sweep.py a.py 'model.k=1")


def test_rows_of_the_benchmark_are_found_in_the_leaderboard(toy):
    """Names of methods as the leaderboard writes them."""
    page, readme = (
        next(task for task in documented() if task.command == BENCHMARK and task.file == Path(file))
        for file in ("docs/pocket.md", "README.md")
    )
    names = ["CLIP,", "MaskCLIP,", "SCLIP,", "ClearCLIP,", "CLIPtrase,", "NACLIP,", "GEM,", "CLIPSurgery,"]
    names += [
        "ResCLIP,around NACLIP",
        "SCCLIP,",
        "RFCLIP,",
        "ProxyCLIP,",
        "CASS,",
        "LaVG,",
        "LPOSS,",
        "LPOSSPlus,",
        "Trident,",
        "LHTCLIP,around SCLIP",
        "DSLO,maximum velocity",
        "DSLO,optimal path",
    ]
    assert [row[-1] for row in readme.table.rows if row[-1] != tables.NO_SCORE]
    lines = [f"unified,{name},{number}.5,1.25" for number, name in enumerate(names)]
    tables.LEADERBOARD.write_text("\n".join(["Protocol,Method,Setting,pocket_all,pocket_thing", *lines]))
    assert [row[1:] for row in tables.board_table(page.table).rows] == [
        [f"{number}.5", "1.25"] for number in range(len(names))
    ]
    told = tables.board_table(readme.table).rows
    assert [row[:-1] for row in told] == [row[:-1] for row in readme.table.rows]
    assert {row[-1] for row in told} == {tables.NO_SCORE, *(f"{number}.5" for number in range(len(names) - 1))}


@pytest.mark.slow
def test_tables_have_the_rows_and_columns_of_their_commands(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert tables.check_tables(documented()), capsys.readouterr().out


def test_a_table_of_other_values_than_its_command_has_is_found(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    command = "tools/sweep.py configs/dslo/dslo_vit-pocket_pocket_{all,thing}.py model.tau=0.1,0.3"
    header = ["tau", "pocket_all", "pocket_thing", "Avg."]
    rows = [["0.1", "1", "1", "1"], ["0.3", "1", "1", "1"]]
    assert tables.check_tables([Task(Path("x.md"), "T", command, Table(header, rows))])
    assert not tables.check_tables([Task(Path("x.md"), "T", command, Table(header, rows[:1]))])
    assert "x.md, T: its command gives the columns tau, pocket_all, pocket_thing, Avg., and the rows 0.1; 0.3" in (
        capsys.readouterr().out
    )
