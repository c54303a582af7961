"""A sweep's pictures: the right kind, and the numbers in it."""

import numpy as np
import pytest

from mmseg_tfovss.plain import one_line
from mmseg_tfovss.sweeps.picture import draw_sweep


def test_heat_map_has_a_row_per_first_value_and_the_numbers_in_its_cells(tmp_path):
    scores = np.array([[10.0, 20.126, 30], [40, 50, 60]])
    figure = draw_sweep({"model.eps": [0.5, 0.7], "model.min_samples": [1, 3, 5]}, scores, "mIoU", "a title")
    axis, colours = figure.axes
    assert np.array_equal(axis.images[0].get_array(), scores)
    cells = {text.get_position(): text.get_text() for text in axis.texts}
    assert cells == {(c, r): f"{scores[r, c]:.2f}" for r in range(2) for c in range(3)}
    assert [text.get_text() for text in axis.get_yticklabels()] == ["0.5", "0.7"]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["1", "3", "5"]
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_title()) == ("min_samples", "eps", "a title")
    assert colours.get_ylabel() == "mIoU (%)"
    assert [text.get_text() for text in axis.texts if text.get_fontweight() == "bold"] == ["60.00"]
    figure.savefig(tmp_path / "map.png")


def test_one_option_of_numbers_is_a_line(tmp_path):
    figure = draw_sweep({"model.tau": [0.1, 0.3]}, np.array([1.0, 2.5]), "mIoU", "a title")
    (axis,) = figure.axes
    assert axis.lines[0].get_ydata().tolist() == [1.0, 2.5]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["0.1", "0.3"]
    assert [text.get_text() for text in axis.texts] == ["1.00", "2.50"]
    figure.savefig(tmp_path / "line.png")


def test_one_option_of_names_is_bars_from_top_to_bottom(tmp_path):
    values = ["none", {"type": "DINO", "_delete_": True}]
    figure = draw_sweep({"model.graph": values}, np.array([1.0, 2.5]), "mIoU", "a title")
    (axis,) = figure.axes
    assert [bar.get_width() for bar in axis.patches] == [1.0, 2.5]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["none", "DINO"]
    assert axis.yaxis_inverted()
    assert [text.get_text() for text in axis.texts] == ["1.00", "2.50"]
    assert (axis.get_ylabel(), axis.get_xlabel()) == ("graph", "mIoU (%)")
    figure.savefig(tmp_path / "bars.png")


def test_true_and_false_are_names_not_numbers():
    (axis,) = draw_sweep({"a": [True, False]}, np.array([1.0, 2.5]), "mIoU", "a title").axes
    assert len(axis.patches) == 2


def test_failed_combinations_are_a_dash_or_a_gap(tmp_path):
    gap = np.array([1.0, np.nan])
    for values, texts in (([0.1, 0.3], ["1.00"]), (["a", "b"], ["1.00", "-"])):
        figure = draw_sweep({"model.a": values}, gap, "mIoU", "a title")
        assert [text.get_text() for text in figure.axes[0].texts] == texts
        figure.savefig(tmp_path / "gap.png")
    figure = draw_sweep({"a": [1, 2], "b": [3]}, gap[:, None], "mIoU", "a title")
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.00", "-"]
    figure.savefig(tmp_path / "gap.png")
    draw_sweep({"a": [1], "b": [3]}, np.array([[np.nan]]), "mIoU", "a title").savefig(tmp_path / "gap.png")


@pytest.mark.parametrize(
    "name",
    ["$\\frac$", "\x1b[31m\n\u202e", *(pytest.param(name, marks=pytest.mark.slow) for name in ("$x^$", "a$b$c", "$"))],
)
def test_names_are_drawn_as_they_are(name, tmp_path):
    for swept in ({name: ["x", name]}, {name: [1, 2]}, {name: ["x", name], "b": [name, "y"]}):
        scores = np.arange(2.0 ** len(swept)).reshape([2] * len(swept))
        figure = draw_sweep(swept, scores, "mIoU", name)
        figure.savefig(tmp_path / "picture.png")  # matplotlib reads mathematics when it draws
        title = figure.axes[0].get_title()
        assert title.replace("\\$", "$") == one_line(name)
