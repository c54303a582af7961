"""The leaderboard's texts are recorded here in full."""

import pytest

from mmseg_tfovss.datasets.facts import FACTS
from mmseg_tfovss.evaluation import leaderboard
from mmseg_tfovss.evaluation.result import write_result
from tests.evaluation.test_result import make_result

MARKDOWN = """# Leaderboard

| Dataset | Protocol | Method | Backbone | Precision | mIoU | pAcc | mAcc | fwIoU | Images | s / image |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| voc21 | paper | SCLIP | ViT-B-16/openai | fp32 | 59.12 | 80.00 | 70.00 | 65.00 | 10 | 0.123 |
| voc21 | paper | CLIP | ViT-B-16/openai | fp32 | 16.20 | 80.00 | 70.00 | 65.00 | 10 | 0.123 |
"""
LATEX = r"""\begin{tabular}{lllllrrrrrr}
\toprule
Dataset & Protocol & Method & Backbone & Precision & mIoU & pAcc & mAcc & fwIoU & Images & s / image \\
\midrule
voc21 & paper & SCLIP & ViT-B-16/openai & fp32 & 59.12 & 80.00 & 70.00 & 65.00 & 10 & 0.123 \\
voc21 & paper & CLIP & ViT-B-16/openai & fp32 & 16.20 & 80.00 & 70.00 & 65.00 & 10 & 0.123 \\
\bottomrule
\end{tabular}
"""


@pytest.fixture
def runs(tmp_path):
    vanilla = make_result(method="CLIP", metrics={"mIoU": 16.2, "pAcc": 80.0, "mAcc": 70.0, "fwIoU": 65.0})
    write_result(vanilla, tmp_path / "clip_voc21")
    write_result(make_result(), tmp_path / "sclip_voc21")
    return tmp_path


def test_four_files_best_method_first(runs, tmp_path):
    results = leaderboard.load_results([runs])
    paths = leaderboard.write_leaderboard(results, tmp_path / "out")
    assert [path.name for path in paths] == [f"leaderboard.{suffix}" for suffix in ("md", "csv", "tex", "html")]
    assert paths[0].read_text() == MARKDOWN
    assert (
        paths[1].read_text().splitlines()[1]
        == "voc21,paper,SCLIP,ViT-B-16/openai,fp32,59.12,80.00,70.00,65.00,10,0.123"
    )
    assert paths[2].read_text() == LATEX
    assert paths[3].read_text().count("<tr>") == 3


def test_another_number_of_images_shows(tmp_path):
    write_result(make_result(expected_images=1449), tmp_path)
    assert "| 10 of 1449 |" in leaderboard.to_markdown(
        leaderboard.leaderboard_rows(leaderboard.load_results([tmp_path]))
    )
    write_result(make_result(expected_images=None), tmp_path)
    assert "| 10 |" in leaderboard.to_markdown(leaderboard.leaderboard_rows(leaderboard.load_results([tmp_path])))


def test_settings_of_one_method_are_rows_of_their_own(tmp_path):
    for side in ("224", "336"):
        write_result(make_result(setting=f"{side} pixels"), tmp_path / side)
    rows = leaderboard.leaderboard_rows(leaderboard.load_results([tmp_path]))
    assert [row[1] for row in rows] == ["paper, 224 pixels", "paper, 336 pixels"]


def test_published_numbers_name_their_source(runs, tmp_path):
    published = leaderboard.published_rows({"voc21"})
    assert {row[0] for row in published} == {"voc21"}
    assert ("voc21", "published, 336 pixels: README of leaves162/CLIPtrase @ 2b7de61", "CLIPtrase") in {
        row[:3] for row in published
    }
    sam = next(row for row in published if row[2] == "CLIPtraseSAM")
    assert sam[5:] == ("57.06", "", "", "", "", "")
    results = leaderboard.load_results([runs])
    text = leaderboard.write_leaderboard(results, tmp_path / "out", published)[0].read_text()
    assert text.index("| SCLIP | ViT-B-16/openai | fp32 | 59.12") < text.index("published, 336 pixels")
    assert text.count("\n| voc21") == 2 + len(published)


def test_published_numbers_are_complete_and_of_known_datasets():
    rows = leaderboard.published_rows(FACTS)
    assert len(rows) == 65
    assert {row[0] for row in rows} <= set(FACTS)
    assert all(0 < float(score) <= 100 for row in rows for score in row[5:9] if score)


def test_same_run_named_twice_is_one_row_but_two_results_of_one_run_are_refused(runs, tmp_path):
    assert len(leaderboard.load_results([runs, runs / "clip_voc21"])) == 2
    write_result(make_result(), tmp_path / "again")
    with pytest.raises(ValueError, match="results of the same run"):
        leaderboard.load_results([runs, tmp_path / "again"])


def test_protocols_are_not_mixed(runs, tmp_path):
    write_result(make_result(protocol="unified"), tmp_path / "unified")
    rows = leaderboard.leaderboard_rows(leaderboard.load_results([runs]))
    assert [row[1] for row in rows] == ["paper", "paper", "unified"]


def test_precisions_and_overrides_are_rows_of_their_own(runs, tmp_path):
    write_result(make_result(precision="bf16"), tmp_path / "bf16")
    write_result(make_result(overrides={"short_side": "448", "model.decode_head.logit_scale": "40"}), tmp_path / "mine")
    rows = leaderboard.leaderboard_rows(leaderboard.load_results([runs]))
    assert sorted(row[4] for row in rows) == ["bf16", "fp32", "fp32", "fp32"]
    assert [row[1] for row in rows].count("paper (short_side=448, logit_scale=40)") == 1


def test_pocket_numbers_carry_their_label(tmp_path):
    write_result(make_result(dataset="pocket_all"), tmp_path)
    rows = leaderboard.leaderboard_rows(leaderboard.load_results([tmp_path]))
    for render in (leaderboard.to_markdown, leaderboard.to_latex, leaderboard.to_html):
        assert "ranks nothing about the real world" in render(rows)
    assert r"pocket\_all" in leaderboard.to_latex(rows)


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing does not exist"):
        leaderboard.load_results([tmp_path / "nothing"])
    with pytest.raises(FileNotFoundError, match="no run in it has finished"):
        leaderboard.load_results([tmp_path])
