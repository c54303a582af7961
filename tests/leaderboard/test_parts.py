"""Results over a part of a benchmark's images: labelled everywhere, and never beside whole ones."""

import re

import pytest

from mmseg_tfovss.evaluation.result import write_result
from mmseg_tfovss.leaderboard.arrange import make_board
from mmseg_tfovss.leaderboard.html import to_html
from mmseg_tfovss.leaderboard.latex import to_latex
from mmseg_tfovss.leaderboard.parts import column_titles
from mmseg_tfovss.leaderboard.results import Collected, collect_results
from mmseg_tfovss.leaderboard.run import Run
from mmseg_tfovss.leaderboard.text import refused, to_csv, to_markdown
from tests.leaderboard.boards import board, scored

CHOICE = "test_dataloader.dataset.indices"
LABEL = "pocket_all (40 of 200)"


def of_pocket(miou, method, images=40, dataset="pocket_all", **changes):
    """A result over some of the pocket scenes; a part of them was chosen."""
    settings = {"model.type": f'"{method}"', CHOICE: "null" if images == 200 else "[0, 4, 8]"}
    facts = {"num_images": images, "expected_images": 200, "dataset_hash": f"{images:07}", "settings": settings}
    return scored(miou, method=method, dataset=dataset, protocol="unified", **{**facts, **changes})


def mixed():
    """Two methods over all images, two over forty."""
    runs = [(50, "A", 200), (40, "B", 200), (90, "A", 40), (80, "C", 40)]
    return board(*(of_pocket(miou, method, images) for miou, method, images in runs))


def test_parts_have_a_table_of_their_own_with_places_of_their_own():
    whole, part = mixed().sections
    assert (whole.title, part.title) == (
        "Protocol unified: the same settings for all",
        "Protocol unified: the same settings for all. Part of the images only",
    )
    assert (whole.columns, part.columns) == (("pocket_all",), (LABEL,))
    assert [(line.method, line.cells["pocket_all"].mark) for line in whole.lines] == [("A", "best"), ("B", "second")]
    assert [(line.method, line.cells[LABEL].mark) for line in part.lines] == [("A", "best"), ("C", "second")]
    assert not any(line.setting for section in (whole, part) for line in section.lines)  # the choice is no label


@pytest.mark.parametrize("render", [to_markdown, to_csv, to_latex, to_html])
def test_every_table_says_how_many_images(render, tmp_path):
    made = mixed()
    text = render(made, tmp_path) if render is to_html else render(made)
    text = text.replace("<wbr>", "").replace("&nbsp;", " ").replace(r"\_", "_")
    assert LABEL in text
    assert ("40 of 200" in text.replace(LABEL, "")) == (render is not to_latex)  # beside the row, too
    if render is not to_csv:
        assert "Part of the images only" in text


def test_a_line_of_the_csv_holds_whole_numbers_or_parts():
    head, *rows = [line.split(",") for line in to_csv(mixed()).splitlines()]
    for row in rows:
        cells = dict(zip(head, row, strict=True))
        assert bool(cells["pocket_all"]) != bool(cells[LABEL])
        assert cells["Partial"] == ("40 of 200" if cells[LABEL] else "")


def test_the_heat_maps_and_lists_of_classes_do_not_mix_them(tmp_path):
    text = to_html(mixed(), tmp_path)
    assert re.findall(r'data-dataset="([^"]*)"', text) == ["pocket_all", LABEL]


def test_averages_of_parts_are_named_so():
    results = [of_pocket(50, "A"), of_pocket(30, "A", dataset="pocket_thing"), of_pocket(20, "B")]
    [section] = board(*results).sections
    assert section.averages == ("average (40 of 200)",)
    means = {line.method: line.cells["average (40 of 200)"].value for line in section.lines if len(line.cells) > 2}
    assert means == {"A": 40}


def test_other_sizes_and_other_images_are_columns_of_their_own_without_an_average():
    results = [of_pocket(1, "A"), of_pocket(2, "A", 20), of_pocket(3, "A", dataset_hash="other", config_hash="o")]
    [section] = board(*results).sections
    assert section.columns == ("pocket_all (20 of 200)", f"{LABEL[:-1]}, files 0000040)", f"{LABEL[:-1]}, files other)")
    assert [len(line.cells) for line in section.lines] == [3]
    assert column_titles([of_pocket(1, "A", 200), of_pocket(1, "B", 200, dataset_hash="x")]) == ["pocket_all"] * 2


def test_a_chosen_part_counts_and_missing_images_are_named():
    chosen = of_pocket(1, "A")
    by_command = of_pocket(1, "B", settings={}, overrides={CHOICE: "50"})
    assert refused(board(chosen, by_command)) == []
    assert [line.ranked for line in board(chosen, by_command).sections[0].lines] == [True, True]
    by_config = of_pocket(1, "D", settings={"test_dataloader.dataset.subset": "40"})
    assert refused(board(by_config)) == []
    missing = of_pocket(1, "C", settings={CHOICE: "null"})
    assert refused(board(missing)) == [("runs/0/result.json", "is partial: 40 of 200 images")]


def test_a_change_besides_the_part_is_a_change():
    changed = of_pocket(99, "A", overrides={CHOICE: "50", "short_side": "448"})
    line = next(line for line in board(changed, of_pocket(1, "B")).sections[0].lines if line.method == "A")
    assert (line.setting, line.ranked) == ("(short_side=448)", False)


def test_a_part_takes_no_whole_result_s_place_and_stands_behind_it(tmp_path):
    whole, part = of_pocket(10, "A", 200, config_hash="w"), of_pocket(99, "A", config_hash="p")
    for name, result in (("whole", whole), ("part", part)):
        write_result(result, tmp_path / name)
    collected = collect_results([tmp_path])
    assert [run.result["num_images"] for run in collected.runs] == [200, 40]
    assert collected.left_out == ()
    assert not any(run.differences for run in make_board(collected).runs)


def test_a_dataset_that_is_named_like_a_part_is_refused(tmp_path):
    write_result(of_pocket(1, "A", 200, dataset=LABEL), tmp_path / "a")
    assert "title of another column" in collect_results([tmp_path]).left_out[0].reason


def test_a_run_outside_a_board_goes_by_its_dataset(tmp_path):
    assert Run(of_pocket(1, "A"), tmp_path).title == "pocket_all"
    assert make_board(Collected((Run(of_pocket(1, "A"), tmp_path),))).runs[0].title == LABEL
