"""Pictures in columns."""

import numpy as np

from mmseg_tfovss.analysis.picture_grid import Column, draw_grid, tint

RED = np.array([200, 0, 0], np.uint8)


def grey(height, width):
    return np.full((height, width, 3), 90, np.uint8)


def test_pixels_without_a_class_stay_as_they_are():
    labels = np.array([[0, 1, 255, -1]])
    colours = np.array([[0, 0, 0], [200, 100, 0]], np.uint8)
    tinted = tint(grey(1, 4), labels, colours)
    assert tinted.tolist() == [[[27, 27, 27], [167, 97, 27], [90, 90, 90], [90, 90, 90]]]


def test_cells_of_different_sizes_and_empty_ones_have_their_places():
    columns = [Column("a", [grey(40, 50), grey(20, 30)]), Column("b", [None, grey(10, 60)])]
    picture = np.array(draw_grid(columns, [("cat", RED)]))
    assert picture.shape == (22 + 6 + 40 + 6 + 20 + 6 + 22, 6 + 50 + 6 + 60 + 6, 3)
    assert (picture[22:62, 6:56] == 90).all()
    assert (picture[22:62, 62:] == 255).all()  # empty
    assert (picture[68:78, 62:122] == 90).all()
    assert (picture[-20:-10, 8:16] == RED).all()


def test_long_titles_widen_a_column_and_long_legends_wrap():
    narrow = draw_grid([Column("a", [grey(40, 50)])], [("cat", RED)])
    wide = draw_grid([Column("a title that is longer than its picture", [grey(40, 50)])], [("cat", RED)])
    assert wide.width > 200 > narrow.width
    legend = [(f"class {number}", RED) for number in range(10)]
    tall = draw_grid([Column("a", [grey(40, 100)])], legend)
    assert tall.width == 112
    assert tall.height == narrow.height + 9 * 22
    assert draw_grid([Column("a", [grey(40, 50)])], []).size == narrow.size
