"""The leaderboard's texts are recorded here in full."""

import pytest

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
