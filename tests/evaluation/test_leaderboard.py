"""The leaderboard's texts are recorded here in full."""

import pytest

from mmseg_tfovss.datasets.facts import FACTS
from mmseg_tfovss.evaluation import leaderboard
from mmseg_tfovss.evaluation.result import write_result
from tests.analysis.test_complexity import make_row
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
    assert len(rows) == 65 + 277 - 29  # without averages
    assert len({(*row[:4],) for row in rows}) == len(rows)
    assert {row[0] for row in rows} <= set(FACTS)
    assert all(0 < float(score) <= 100 for row in rows for score in row[5:9] if score)


# -- DSLO's numbers -------------------------------------------------------------------------------------------------

EIGHT = ("voc21", "context60", "coco_object", "voc20", "context59", "coco_stuff164k", "cityscapes", "ade20k")
AVERAGE = "average"


def by_variant(name, *keys):
    """mIoU by dataset, by variant."""
    variants = {}
    for line in leaderboard.read_published(name):
        scores = variants.setdefault(tuple(line[key] for key in keys), {})
        assert line["dataset"] not in scores
        scores[line["dataset"]] = float(line["mIoU"])
    return variants


def test_dslos_own_rows_are_told_from_those_it_quotes():
    rows = leaderboard.published_rows({"voc21"})
    dslo = [row for row in rows if "DSLO" in row[1]]
    own = {(row[1], row[3], row[5]) for row in dslo if row[2] == "DSLO"}
    table = "DSLO (CVPR 2026), Table 1"
    assert own == {
        (f"published, optimal path: {table}", "ViT-B-16/openai + Stable Diffusion 2", "66.90"),
        (f"published, maximum velocity: {table}", "ViT-B-16/openai + Stable Diffusion 2", "67.80"),
        (f"published, optimal path: {table}", "ViT-L-14/openai + Stable Diffusion 2", "68.20"),
        (f"published, maximum velocity: {table}", "ViT-L-14/openai + Stable Diffusion 2", "68.90"),
    }
    others = [row for row in dslo if row[2] != "DSLO"]
    assert len(others) == 17 + 9  # FreeDa and PnP-OVSS have no number for VOC21
    assert all(row[1].startswith(f"published, as quoted by DSLO: {table}") for row in others)
    quoted = {row[3]: row[5] for row in others if row[2] == "SCLIP"}
    assert quoted == {"CLIP ViT-B/16": "59.10", "CLIP ViT-L/14": "44.40"}
    [marked] = {row[1] for row in others if row[2] == "CLIP-DINOiser"}
    assert marked.endswith("Table 1; marked † there; the mark's meaning is not in the text at hand")


def test_averages_of_the_main_table_are_the_means_of_its_rows_but_for_two():
    variants = by_variant("dslo", "method", "backbone", "setting")
    assert len(variants) == 20 + 12
    complete = {key: scores for key, scores in variants.items() if AVERAGE in scores}
    assert all(set(scores) == {*EIGHT, AVERAGE} for scores in complete.values())
    assert {key[0] for key in set(variants) - set(complete)} == {"FreeDa", "CaR", "PnP-OVSS"}
    wrong = {
        key: round(sum(scores[name] for name in EIGHT) / 8, 2)
        for key, scores in complete.items()
        if abs(sum(scores[name] for name in EIGHT) / 8 - scores[AVERAGE]) > 0.0501
    }
    noted = {
        (line["method"], line["backbone"], line["setting"]): float(line["note"].rsplit(" ", 1)[1])
        for line in leaderboard.read_published("dslo")
        if "the mean of the eight quoted numbers is" in line["note"]
    }
    assert wrong == {
        ("MaskCLIP", "CLIP ViT-B/16", "as quoted by DSLO"): 27.83,
        ("CLIPtrase", "CLIP ViT-B/16", "as quoted by DSLO"): 37.46,
    }
    assert noted == pytest.approx(wrong, abs=0.01)


def test_averages_of_the_ablations_are_the_means_of_their_rows():
    variants = by_variant("dslo_ablations", "method", "backbone", "setting", "source")
    assert len(variants) == 7 + 2 * 9 + 6 + 15
    averaged = [scores for scores in variants.values() if AVERAGE in scores]
    assert len(averaged) == 7 + 2 * 9
    for scores in averaged:
        rest = [score for name, score in scores.items() if name != AVERAGE]
        assert len(rest) == 4
        assert sum(rest) / 4 == pytest.approx(scores[AVERAGE], abs=0.0501)


@pytest.mark.parametrize(
    ("table", "setting", "dataset", "score"),
    [
        ("Table 2", "(II) = (I) + KL", "voc21", 44.2),
        ("Table 2", "(VII) = (V) + (VI)", "average", 38.4),
        ("Table 3", "maximum velocity, blocks (I)", "ade20k", 17.6),
        ("Table 3", "maximum velocity, logits q-q", "cityscapes", 42.1),
        ("supplement, Table 4", "optimal path, blocks (VI)", "coco_stuff164k", 28.6),
        ("supplement, Table 4", "optimal path, logits q-k", "average", 35.1),
        ("supplement, VFM table", "maximum velocity, graph of DINOv2-B/14 with registers", "voc21", 69.8),
        ("supplement, VFM table", "maximum velocity, graph of Stable Diffusion 2", "context60", 38.3),
    ],
)
def test_ablations_hold_the_papers_numbers(table, setting, dataset, score):
    source = f"DSLO (CVPR 2026), {table}"
    lines = leaderboard.read_published("dslo_ablations")
    [found] = [
        line for line in lines if (line["source"], line["setting"], line["dataset"]) == (source, setting, dataset)
    ]
    assert float(found["mIoU"]) == score


def test_other_methods_under_dslo_and_what_it_costs():
    variants = by_variant("dslo_ablations", "method", "backbone", "setting")
    large = "ViT-L-14/openai + Stable Diffusion 2"
    assert variants["DSLO on SC-CLIP", large, "maximum velocity"]["voc21"] == 70.0
    assert variants["SC-CLIP", "CLIP ViT-L/14", "as quoted by DSLO"]["voc21"] == 65.0
    assert len(variants["DSLO on CASS", "ViT-B-16/openai + Stable Diffusion 2", "optimal path"]) == 8
    costs = {line["Model"]: line for line in leaderboard.read_published("dslo_complexity")}
    assert list(costs) == ["CLIP", "ProxyCLIP", "CASS", "DSLO, optimal path", "DSLO, maximum velocity"]
    assert costs["DSLO, maximum velocity"]["distribution (s)"] == "0.12"
    assert costs["DSLO, optimal path"]["FLOPs (G)"] == "351.3"
    assert costs["CLIP"]["logits (s)"] == ""
    assert set(make_row()) - {"with text tower (M)", "Image", "Precision", "Device"} <= set(costs["CLIP"])


def test_numbers_of_one_table_are_the_same_in_the_others():
    """Row (VI) of Table 2, the best blocks, k-k logits and the graph of Stable Diffusion 2 are all Table 1's row."""
    own = by_variant("dslo", "method", "backbone", "setting")
    for mode in ("maximum velocity", "optimal path"):
        expected = own["DSLO", "ViT-B-16/openai + Stable Diffusion 2", mode]
        for setting, scores in by_variant("dslo_ablations", "setting", "method", "backbone", "source").items():
            row = f"= (IV) + {mode}", f"{mode}, blocks (VI)", f"{mode}, logits k-k", f"{mode}, graph of Stable"
            if any(part in setting[0] for part in row):
                shared = {name for name in scores if name != AVERAGE}
                assert {name: scores[name] for name in shared} == {name: expected[name] for name in shared}


# -------------------------------------------------------------------------------------------------------------------


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
