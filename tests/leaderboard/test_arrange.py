"""Rows, averages and places."""

import pytest

from mmseg_tfovss.datasets.facts import FACTS
from mmseg_tfovss.leaderboard import board as boards
from mmseg_tfovss.leaderboard import columns
from mmseg_tfovss.leaderboard.published import published_numbers
from tests.leaderboard.boards import EIGHT, board, scored


def eight(method, first, **changes):
    """Results on the eight benchmarks: first, first + 1, ..."""
    return [scored(first + number, method=method, dataset=name, **changes) for number, name in enumerate(EIGHT)]


def only_line(made, section=0):
    [line] = made.sections[section].lines
    return line


def marks(made, column):
    return {line.method: line.cells[column].mark for line in made.sections[0].lines if column in line.cells}


def test_columns_are_the_known_benchmarks_in_the_papers_order():
    assert set(columns.DATASET_ORDER) == set(FACTS)
    assert columns.EIGHT == EIGHT
    made = board(*(scored(1.0, dataset=name) for name in ("zoo", "ade20k", "pocket_all", "voc21", "aaa")))
    assert made.sections[0].datasets == ("voc21", "ade20k", "pocket_all", "aaa", "zoo")


def test_averages_are_of_complete_rows_only():
    partial = eight("B", 20.0)
    partial[3]["num_images"] = 9
    made = board(*eight("A", 10.0), *partial, *eight("C", 30.0)[:7])
    assert made.sections[0].averages == ("avg 3 (background)", "avg 5 (no background)", "avg 8")
    by_method = {line.method: line.cells for line in made.sections[0].lines}
    assert by_method["A"]["avg 8"].value == pytest.approx(13.5)
    assert by_method["A"]["avg 3 (background)"].value == pytest.approx(11.0)
    assert by_method["A"]["avg 5 (no background)"].value == pytest.approx(15.0)
    assert {"avg 8", "avg 5 (no background)"}.isdisjoint(by_method["B"])
    assert {"avg 8", "avg 5 (no background)"}.isdisjoint(by_method["C"])
    assert by_method["B"]["avg 3 (background)"].value == pytest.approx(21.0)


def test_other_sets_have_a_plain_average_and_one_dataset_has_none():
    made = board(scored(10.0), scored(20.0, dataset="ade20k"), scored(5.0, method="CLIP"))
    assert made.sections[0].averages == ("average",)
    assert made.sections[0].lines[0].cells["average"].value == 15.0
    assert "average" not in made.sections[0].lines[1].cells
    assert board(scored(10.0)).sections[0].averages == ()


def test_best_and_second_are_those_of_complete_unchanged_results_of_one_protocol():
    made = board(
        scored(50.0, method="best"),
        scored(40.0, method="second"),
        scored(30.0, method="third"),
        scored(90.0, method="partial", expected_images=1449),
        scored(95.0, method="changed", overrides={"short_side": "448"}),
        scored(99.0, method="other", protocol="unified"),
    )
    assert marks(made, "voc21") == {"best": "best", "second": "second", "third": "", "changed": ""}
    assert only_line(made, 1).cells["voc21 (10 of 1449)"].mark == ""  # nobody to compare with
    assert only_line(made, 2).cells["voc21"].mark == ""


def test_numbers_that_print_alike_share_a_place():
    made = board(scored(50.001, method="A"), scored(49.999, method="B"), scored(40.0, method="C"))
    assert marks(made, "voc21") == {"A": "best", "B": "best", "C": "second"}


def test_settings_precisions_backbones_and_changes_are_rows_of_their_own():
    changes = [{}, {"setting": "336 pixels"}, {"precision": "bf16"}, {"backbone": "ViT-L-14/openai"}]
    changes += [{"overrides": {"model.a.b": "1"}}, {"overrides": {"model.c.b": "1"}}]
    made = board(*(scored(10.0, **change) for change in changes))
    assert len(made.sections[0].lines) == 6
    settings = ["", "", "", "(model.a.b=1)", "(model.c.b=1)", "336 pixels"]
    assert sorted(line.setting for line in made.sections[0].lines) == settings


def test_complete_rows_come_first_then_the_higher_mean():
    made = board(*eight("low", 10.0), *eight("high", 20.0), scored(90.0, method="one"))
    assert [line.method for line in made.sections[0].lines] == ["high", "low", "one"]


def test_kind_tells_whether_a_second_network_takes_part():
    assert only_line(board(scored(1.0))).kind == boards.ONE_NETWORK
    assert only_line(board(scored(1.0, backbone="ViT-B-16/openai + sam"))).kind == boards.TWO_NETWORKS
    assert only_line(board(scored(1.0, backbone="ViT-B-16/openai + dino + sam"))).kind == boards.MORE_NETWORKS


def test_published_numbers_stand_beside_ours_and_in_a_table_of_their_own():
    numbers = published_numbers({"voc21", "voc20"})
    ours = {"method": "CLIPtrase", "setting": "336 pixels"}
    made = board(scored(53.0, **ours), scored(60.0, protocol="unified", **ours), published=numbers)
    cell = only_line(made).cells["voc21"]
    assert cell.published == "53.04"
    assert cell.difference == pytest.approx(-0.04)
    assert cell.source.startswith("README of leaves162")
    assert only_line(made, 1).cells["voc21"].published == ""
    assert [section.name for section in made.sections] == ["paper", "unified", "published"]
    printed = made.sections[2].lines
    assert all(line.source and not line.ranked for line in printed)
    assert {cell.mark for line in printed for cell in line.cells.values()} == {""}
    [sam] = [line for line in printed if line.method == "CLIPtraseSAM"]
    assert {name: cell.text for name, cell in sam.cells.items()} == {"voc21": "57.06", "voc20": "82.25"}


def test_averages_of_published_rows_are_the_sources_own_over_the_same_datasets():
    section = board(*eight("A", 10.0), published=published_numbers(set(EIGHT))).sections[1]
    found = {
        (line.method, line.backbone, line.source.split(",")[0]): {
            name: cell.text for name, cell in line.cells.items() if name in section.averages
        }
        for line in section.lines
    }
    ours = "ViT-B-16/openai"
    assert section.averages == ("avg 5 (no background)", "avg 8")
    assert found["NACLIP", ours, "README of sinahmr/NACLIP @ 0cac3a6; with PAMR"] == {"avg 8": "42.46"}
    assert found["ClearCLIP", ours, "ClearCLIP (ECCV 2024)"] == {"avg 5 (no background)": "37.5"}
    assert found["CLIPtrase", "CLIP ViT-B/16", "DSLO (CVPR 2026)"] == {}  # its 32.7 is of other datasets
    fewer = board(*eight("A", 10.0)[:7], published=published_numbers(set(EIGHT[:7]))).sections[1]
    assert fewer.averages == ()


def test_sources_beside_ours_are_numbered_as_they_appear():
    made = board(
        scored(53.0, method="CLIPtrase", setting="336 pixels"),
        scored(60.0),
        scored(61.0, dataset="voc20"),
        scored(62.0, method="NACLIP"),
        published=published_numbers({"voc21", "voc20"}),
    )
    section = made.sections[0]
    assert section.sources == (
        "README of wangf3014/SCLIP @ b56bd30",
        "README of sinahmr/NACLIP @ 0cac3a6; with PAMR",
        "README of leaves162/CLIPtrase @ 2b7de61",
    )
    assert [[cell.reference for name, cell in line.cells.items() if name in EIGHT] for line in section.lines] == [
        [1, 1],
        [2],
        [3],
    ]
    assert made.sections[1].sources == ()


def test_lht_clips_setting_is_the_method_around_which_it_is():
    made = board(
        scored(1.0, method="LHTCLIP", setting="around SCLIP", overrides={"a.b": "1"}),
        published=published_numbers({"voc21"}),
    )
    assert only_line(made).setting == "around SCLIP (a.b=1)"
    printed = {line.setting for line in made.sections[1].lines if line.method == "LHTCLIP"}
    assert printed == {"around SCLIP", "around ClearCLIP", "around ResCLIP (around NACLIP, feedback=False)"}


def test_no_published_number_stands_beside_a_result_over_a_part():
    ours = {"method": "CLIPtrase", "setting": "336 pixels"}
    made = board(scored(53.0, expected_images=1449, **ours), published=published_numbers({"voc21"}))
    cell = only_line(made).cells["voc21 (10 of 1449)"]
    assert (cell.published, cell.difference) == ("", None)
    assert only_line(made).images == "10 of 1449"


def test_notes_warn_of_what_one_name_hides():
    made = board(
        scored(1.0, weights_hash="a", protocol="unified"),
        scored(1.0, weights_hash="b", protocol="unified", dataset="voc20"),
        scored(1.0, weights_hash="a", protocol="unified", method="CLIP", vocabulary_hash="other"),
    )
    assert made.notes[-2:] == (
        "Careful: results of SCLIP on ViT-B-16/openai have 2 different weights: they are not comparable.",
        "Careful: results of voc21 (unified) have 2 different class lists: they are not comparable.",
    )
    assert boards.POCKET_NOTE not in made.notes
    assert boards.POCKET_NOTE in board(scored(1.0, dataset="pocket_all")).notes


def test_notes_warn_of_own_settings_under_the_unified_protocol():
    def made(scale, method, **changes):
        settings = {"model.decode_head.logit_scale": str(scale), "model.own": str(method)}
        return scored(1.0, method=method, settings=settings, protocol="unified", **changes)

    [note] = board(made(40, "A"), made(10, "B"), scored(1.0, method="C", protocol="unified")).notes[-1:]
    assert note == (
        "Careful: results of voc21 (unified) have 2 different values of model.decode_head.logit_scale: they are not"
        " comparable."
    )
    quiet = board(made(40, "A"), made(40, "B"), made(10, "C", overrides={"model.decode_head.logit_scale": "10"}))
    assert not any("Careful" in note for note in quiet.notes)


def test_notes_name_commits_uncommitted_code_and_versions_of_one_methods_code():
    one, other = "1" * 40, "2" * 40
    made = board(
        scored(1.0, git_commit=one),
        scored(1.0, git_commit=f"{other}-dirty", dataset="voc20", code_hash="of another dataset"),
        scored(1.0, git_commit=f"{one}-dirty", method="CLIP", code_hash="of another method"),
        scored(1.0, git_commit=one, precision="bf16", code_hash="changed"),
        scored(1.0, git_commit=None, overrides={"a": "1"}, code_hash="of another part"),
    )
    assert made.notes[-2:] == (
        "Careful: 2 commits (1111111, 2222222), 2 runs of uncommitted code, 1 run without a commit.",
        "Careful: results of SCLIP are of 2 versions of its code.",
    )
    quiet = board(scored(1.0, git_commit=one), scored(1.0, git_commit=one, dataset="voc20", code_hash="b"))
    assert not any("Careful" in note for note in quiet.notes)
