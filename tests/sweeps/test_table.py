"""The tables of a sweep: rows that are found again, and Markdown."""

import csv
import random

import pytest
from markdown_it import MarkdownIt

from mmseg_tfovss.plain import one_line
from mmseg_tfovss.sweeps.table import adopt_rows, to_markdown, write_rows
from tests.leaderboard.hostile import draw_name


def table(folder, name="sweep.csv"):
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


HEADER = ["model.eps", "mIoU", "run_hash"]
A, B, C = ({"model.eps": eps, "mIoU": miou, "run_hash": eps * 3} for eps, miou in ("1a", "2b", "3c"))


def test_a_table_with_other_rows_is_renamed_and_still_of_use(tmp_path):
    path = tmp_path / "new/sweep.csv"
    assert adopt_rows(path, HEADER, ["111"]) == {}
    assert not path.parent.exists()
    write_rows(path, HEADER, [A, B])
    assert adopt_rows(path, HEADER, ["111", "222", "333"]) == {"111": A, "222": B}
    assert [file.name for file in path.parent.iterdir()] == ["sweep.csv"]
    assert adopt_rows(path, HEADER, ["333", "222"]) == {"222": B}
    assert (table(path.parent), table(path.parent, "sweep.1.csv")) == ([B], [A, B])
    assert adopt_rows(path, HEADER, ["333"]) == {}
    assert table(path.parent, "sweep.2.csv") == [B]
    assert not path.exists()
    write_rows(path, HEADER, [C])
    found = adopt_rows(path, HEADER, ["333", "222", "111"])
    assert found == {"111": A, "222": B, "333": C}
    assert table(path.parent) == [C, B, A]


def test_rows_with_other_columns_do_not_count(tmp_path):
    path = tmp_path / "sweep.csv"
    write_rows(path, HEADER, [A])
    header = [HEADER[0], "more", *HEADER[1:]]
    assert adopt_rows(path, header, ["111"]) == {}
    assert table(tmp_path, "sweep.1.csv") == [A]


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "\0\xff", "model.eps,mIoU,run_hash\n1,a"])
def test_a_damaged_table_is_renamed(tmp_path, text):
    (tmp_path / "sweep.csv").write_text(text, encoding="latin-1")
    assert adopt_rows(tmp_path / "sweep.csv", HEADER, ["111"]) == {}
    assert (tmp_path / "sweep.1.csv").read_text(encoding="latin-1") == text
    assert not (tmp_path / "sweep.csv").exists()


def test_failed_rows_are_no_finished_ones_and_no_other_table(tmp_path):
    path = tmp_path / "sweep.csv"
    header = [*HEADER, "error"]
    good, bad = {**A, "error": ""}, {**B, "mIoU": "", "error": "out of memory"}
    write_rows(path, header, [good, bad])
    assert adopt_rows(path, header, ["111", "222"]) == {"111": good}
    assert [file.name for file in tmp_path.iterdir()] == ["sweep.csv"]


# -- Markdown -------------------------------------------------------------------------------------------------------


def row(miou, error="", **cells):
    score = f"{miou}" if miou else ""
    rest = {"mIoU": score, "pAcc": score, "mAcc": "50", "fwIoU": score, "images": "3", "error": error}
    return {**cells, **rest, "run_hash": "123"}


def test_the_best_scores_are_bold():
    text = to_markdown([row(20.126, tau="0.1"), row(30, tau="0.3")], "dslo, 3 images")
    assert (
        text
        == """# dslo, 3 images

| tau | mIoU | pAcc | mAcc | fwIoU | images |
| --- | ---: | ---: | ---: | ---: | ---: |
| 0.1 | 20.13 | 20.13 | **50.00** | 20.13 | 3 |
| 0.3 | **30.00** | **30.00** | **50.00** | **30.00** | 3 |
"""
    )


def test_errors_are_shown_where_there_are_some():
    lines = to_markdown([row(20, tau="0.1"), row(None, "no | such thing", tau="0.3")], "x").splitlines()
    assert lines[2].endswith("| images | error |")
    assert lines[5] == r"| 0.3 | - | - | **50.00** | - | 3 | no \| such thing |"


def test_datasets_stand_side_by_side_with_the_mean_of_what_is_complete():
    cells = [
        ("I", "voc21", 10),
        ("II", "voc21", 40),
        ("I", "pocket_all", 30),
        ("II", "pocket_all", 20),
        ("III", "voc21", 5),
    ]
    rows = [row(miou, config=config, dataset=dataset) for config, dataset, miou in cells]
    text = to_markdown(rows, "x")
    assert (
        """
mIoU (%)

| config | voc21 | pocket_all | Avg. |
| --- | ---: | ---: | ---: |
| I | 10.00 | **30.00** | 20.00 |
| II | **40.00** | 20.00 | **30.00** |
| III | 5.00 | - | - |
"""
        in text
    )
    assert "| II | voc21 | **40.00** |" in text
    assert "| I | pocket_all | **30.00** |" in text
    assert text.count("ranks nothing about the real world") == 1


def test_names_keep_the_table_s_shape_and_are_no_formula(tmp_path):
    draw = random.Random(0)
    header = ["=x", "model.tau", "mIoU", "error", "run_hash"]
    names = [draw_name(draw) for _ in range(60)]
    rows = [
        {"=x": name, "model.tau": "-0.1", "mIoU": "30", "error": "", "run_hash": str(n)} for n, name in enumerate(names)
    ]
    path = tmp_path / "sweep.csv"
    write_rows(path, header, rows)
    text = path.read_text()
    assert all(line.isprintable() for line in text.split("\n"))
    assert len(text.splitlines()) == len(rows) + 1
    found = table(tmp_path)
    assert {row["model.tau"] for row in found} == {"-0.1"}
    cells = [cell.strip() for row in found for text in (*row, *row.values()) for cell in text.split(";")]
    assert {cell for cell in cells if cell[:1] in tuple("=+-@")} == {"-0.1"}
    again = adopt_rows(path, header, [str(n) for n in range(len(names))])
    assert [list(row) for row in again.values()] == [header] * len(rows)
    assert path.read_text() == text
    assert [file.name for file in tmp_path.iterdir()] == ["sweep.csv"]


def test_names_in_markdown_are_text():
    draw = random.Random(0)
    names = [f"{draw_name(draw)}{n}" for n in range(60)]
    rows = [row(1, config=name, dataset=dataset) for name in names for dataset in ("a|b", "`c`")]
    text = to_markdown(rows, "<b>[t](u)\n# x")
    assert all(line.isprintable() for line in text.split("\n"))
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    inlines = [token.children for token in tokens if token.type == "inline"]
    kinds = {child.type for children in inlines for child in children}
    assert kinds <= {"text", "text_special", "strong_open", "strong_close"}
    texts = {"".join(child.content for child in children) for children in inlines}
    assert texts >= {one_line(name) for name in names} | {"<b>[t](u) # x", "a|b", "`c`"}
    assert len([token for token in tokens if token.type == "tr_open"]) == 1 + len(rows) + 1 + len(names)


def test_pocket_numbers_carry_their_label():
    assert "ranks nothing about the real world" in to_markdown([row(20, tau="0.1")], "dslo_vit-pocket_pocket_all")
    assert "ranks nothing" not in to_markdown([row(20, tau="0.1")], "dslo_vit-b16_voc21")
