"""Markdown and CSV, recorded in full."""

import csv

from mmseg_tfovss.leaderboard.files import LeftOut
from mmseg_tfovss.leaderboard.published import published_numbers
from mmseg_tfovss.leaderboard.text import leaderboard_rows, to_csv, to_markdown, to_runs_csv
from tests.evaluation.test_result import make_result
from tests.leaderboard.boards import board, scored

MARKDOWN = """# Leaderboard

mIoU in percent.

Best bold, second underlined: per table, among results without changes from the command line.

Columns such as "pocket_all (50 of 200)" are of a part of the benchmark's images. Such numbers have tables of their \
own, because they cannot be compared with those of all images.

Careful: 1 run of uncommitted code, 1 run without a commit.

## Protocol paper: the authors' settings

| Method | Backbone | Setting | Precision | voc21 |
| --- | --- | --- | --- | --- |
| SCLIP | ViT-B-16/openai |  | fp32 | **59.12** |
| CLIP | ViT-B-16/openai |  | fp32 | <u>16.20</u> |

## Protocol paper: the authors' settings. Part of the images only

| Method | Backbone | Setting | Precision | voc21 (10 of 1449) |
| --- | --- | --- | --- | --- |
| NACLIP | ViT-B-16/openai |  | fp32 | 58.00 |

## Every run

| Dataset | Protocol | Method | Backbone | Precision | mIoU | pAcc | mAcc | fwIoU | Images | s / image | Commit |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| voc21 | paper | SCLIP | ViT-B-16/openai | fp32 | 59.12 | 80.00 | 70.00 | 65.00 | 10 | 0.123 | 1234567 |
| voc21 | paper | CLIP | ViT-B-16/openai | fp32 | 16.20 | 80.00 | 70.00 | 65.00 | 10 | 0.123 |  |
| voc21 | paper | NACLIP | ViT-B-16/openai | fp32 | 58.00 | 80.00 | 70.00 | 65.00 | 10 of 1449 | 0.123 | 1234567-dirty |

## Does not count

- broken/result.json is not a result file.
- runs/2/result.json is partial: 10 of 1449 images
"""
CSV = """Protocol,Method,Backbone,Setting,Precision,Kind,voc21,voc21 (10 of 1449),Partial,Source
paper,SCLIP,ViT-B-16/openai,,fp32,CLIP only,59.12,,,
paper,CLIP,ViT-B-16/openai,,fp32,CLIP only,16.20,,,
paper,NACLIP,ViT-B-16/openai,,fp32,CLIP only,,58.00,10 of 1449,
"""


def three(tmp_path):
    return board(
        scored(59.1234, git_commit="1234567890"),
        scored(16.2, method="CLIP"),
        scored(58.0, method="NACLIP", expected_images=1449, git_commit="1234567890-dirty"),
        left_out=[LeftOut(tmp_path.__class__("broken/result.json"), "is not a result file.")],
    )


def test_recorded_texts(tmp_path):
    made = three(tmp_path)
    assert to_markdown(made) == MARKDOWN
    assert to_csv(made) == CSV
    assert to_runs_csv(made).splitlines()[:2] == [
        "Dataset,Protocol,Method,Backbone,Precision,mIoU,pAcc,mAcc,fwIoU,Images,s / image,Commit,Finished,File,"
        "Assumptions,Package,Settings,Weights,Words",
        "voc21,paper,SCLIP,ViT-B-16/openai,fp32,59.12,80.00,70.00,65.00,10,0.123,1234567890,2026-01-01T00:00:00+00:00,"
        'runs/0/result.json,,"mmseg_tfovss 0.1.0, source",c,w,v',
    ]


def test_published_numbers_have_columns_of_their_own():
    made = board(
        scored(53.0, method="CLIPtrase", setting="336 pixels"),
        scored(50.0, dataset="voc20"),
        published=published_numbers({"voc21", "voc20"}),
    )
    text = to_markdown(made)
    assert r"| 53.00 (paper 53.04, -0.04 \[1\]) |" in text
    sources = ["README of leaves162/CLIPtrase @ 2b7de61", "README of wangf3014/SCLIP @ b56bd30"]
    assert f"|\n\n- \\[1\\] {sources[0]}\n- \\[2\\] {sources[1]}\n\n##" in text
    rows = list(csv.DictReader(to_csv(made).splitlines()))
    ours = next(row for row in rows if row["Protocol"] == "paper" and row["Method"] == "CLIPtrase")
    assert (ours["voc21"], ours["voc21 published"], ours["voc21 difference"]) == ("53.00", "53.04", "-0.04")
    assert ours["voc21 source"] == "README of leaves162/CLIPtrase @ 2b7de61"
    assert (ours["voc20 published"], ours["voc20 difference"], ours["voc20 source"]) == ("", "", "")
    quoted = next(row for row in rows if row["Method"] == "ProxyCLIP" and row["Backbone"] == "CLIP ViT-B/16")
    assert quoted["Source"].startswith("DSLO (CVPR 2026), Table 1")
    assert quoted["voc21"] == "59.1"  # as printed
    runs = list(csv.DictReader(to_runs_csv(made).splitlines()))
    assert len(runs) == 2 + len(made.published)
    assert any(row["Protocol"] == "published, 336 pixels: README of leaves162/CLIPtrase @ 2b7de61" for row in runs)


def test_rows_tell_settings_and_changes_in_the_protocol():
    result = make_result(setting="224 pixels", overrides={"short_side": "448", "model.decode_head.logit_scale": "40"})
    [row] = leaderboard_rows([result])
    assert row[1] == "paper, 224 pixels (short_side=448, model.decode_head.logit_scale=40)"


def test_names_cannot_break_a_table():
    text = to_markdown(board(scored(1.0, method="a|b\n<b>*x*", backbone="[l](u)")))
    assert "| a\\|b \\<b\\>\\*x\\* | \\[l\\](u) |" in text
    text = to_markdown(board(scored(1.0, dataset="<script>|a&lt;\n")))
    assert r"| Precision | \<script\>\|a\&lt; |" in text


def test_what_was_assumed_is_in_the_notes_and_with_what_was_installed_beside_the_runs():
    assumed = {"assumptions": ["QuickGELU for a.pt", "QuickGELU for a.pt"], "package": "mmseg_tfovss 0.1.0, wheel"}
    made = board(scored(1.0, **assumed), scored(2.0, dataset="voc20", **assumed), scored(3.0, method="CLIP"))
    note = "Careful: 2 runs of SCLIP on ViT-B-16/openai assume this: QuickGELU for a.pt."
    assert made.notes[-1] == note
    assert note in to_markdown(made)
    rows = list(csv.DictReader(to_runs_csv(made).splitlines()))
    assert [(row["Assumptions"], row["Package"]) for row in rows] == [
        ("QuickGELU for a.pt", "mmseg_tfovss 0.1.0, wheel"),
        ("QuickGELU for a.pt", "mmseg_tfovss 0.1.0, wheel"),
        ("", "mmseg_tfovss 0.1.0, source"),
    ]


def test_what_tells_runs_apart_is_in_every_list_of_runs():
    runs = [scored(n, settings={"model.alpha": str(n)}, config_hash=str(n)) for n in (1.0, 2.0)]
    made = board(*runs)
    for text in (to_markdown(made), to_runs_csv(made), to_csv(made)):
        assert "(model.alpha=1.0)" in text
        assert "(model.alpha=2.0)" in text
