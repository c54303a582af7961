"""What is written after a sweep."""

import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.sweeps import report as sweep_report
from mmseg_tfovss.sweeps.report import best_lines, find_axes, write_report
from tests.sweeps.test_table import row


@pytest.fixture
def drawn(monkeypatch):
    """Axes and scores of the pictures."""
    calls = []
    draw = sweep_report.draw_sweep

    def noted(axes, scores, score, title):
        calls.append((axes, scores.tolist(), title))
        return draw(axes, scores, score, title)

    monkeypatch.setattr(sweep_report, "draw_sweep", noted)
    return calls


def test_rows_in_any_order_find_their_cell(tmp_path, drawn):
    cells = [("I", "voc21", 10), ("II", "voc21", 40), ("I", "ade20k", 30), ("II", "ade20k", None)]
    rows = [row(miou, config=config, dataset=dataset) for config, dataset, miou in cells]
    paths = write_report(rows, {}, tmp_path / "out", "x")
    assert [path.name for path in paths] == ["sweep.md", "sweep.png"]
    [(axes, scores, title)] = drawn
    assert axes == {"config": ["I", "II"], "dataset": ["voc21", "ade20k"]}
    assert np.array_equal(scores, [[10, 30], [40, np.nan]], equal_nan=True)
    assert title == "x, 3 images"
    with Image.open(paths[1]) as picture:
        assert min(picture.size) > 200
    assert paths[0].read_text().startswith("# x, 3 images\n")


def test_options_with_one_value_are_no_axis(tmp_path, drawn):
    rows = [row(1, a="1", b="x"), row(2, a="1", b="y")]
    write_report(rows, {"a": [1], "b": ["x", "y"]}, tmp_path, "x")
    assert drawn[0][:2] == ({"b": ["x", "y"]}, [1, 2])


@pytest.mark.parametrize("count", [0, 3])
def test_no_picture_of_one_row_or_of_three_options(count, tmp_path, drawn):
    swept = {name: [1, 2] for name in "abc"[:count]}
    rows = [row(1, **dict.fromkeys(swept, "1"))] * 2**count
    assert [path.name for path in write_report(rows, swept, tmp_path, "x")] == ["sweep.md"]
    assert drawn == []


def test_no_picture_of_half_a_grid():
    rows = [row(1, config=config, dataset=dataset) for config, dataset in (("I", "a"), ("II", "a"), ("I", "b"))]
    assert find_axes(rows, {}) == {}


def test_the_best_of_each_dataset_is_named():
    rows = [row(1, tau="1"), row(3, tau="2"), row(None, "bad", tau="3")]
    assert best_lines(rows, {"tau": [1, 2, 3]}) == ["Best mIoU: 3.00 with tau=2"]
    rows = [row(miou, config="I", dataset=dataset) for miou, dataset in ((1, "a"), (2, "b"))]
    assert best_lines(rows, {}) == ["Best mIoU on a: 1.00 with config=I", "Best mIoU on b: 2.00 with config=I"]
    assert best_lines([row(None, "bad", tau="3")], {"tau": [3]}) == []
