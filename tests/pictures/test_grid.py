"""Pictures in columns."""

import numpy as np

from mmseg_tfovss.pictures.grid import Column, draw_grid, shrink, tint
from mmseg_tfovss.pictures.lettering import text_width

RED = np.array([200, 0, 0], np.uint8)


def grey(height, width):
    return np.full((height, width, 3), 90, np.uint8)


def test_pixels_without_a_class_stay_as_they_are():
    labels = np.array([[0, 1, 255, -1]])
    colours = np.array([[0, 0, 0], [200, 100, 0]], np.uint8)
    tinted = tint(grey(1, 4), labels, colours)
    assert tinted.tolist() == [[[27, 27, 27], [167, 97, 27], [90, 90, 90], [90, 90, 90]]]


def test_a_class_has_one_hue_whatever_the_image_has():
    """Red on green would be brown."""
    image = np.array([[[0, 255, 0], [255, 0, 255], [0, 0, 0]]], np.uint8)
    tinted = tint(image, np.zeros((1, 3), int), RED[None]).astype(int)[0]
    assert (tinted[:, 0] - tinted[:, 1] == 140).all()  # 70 % of the red
    assert (tinted[:, 1] == tinted[:, 2]).all()
    assert tinted[2].tolist() == [140, 0, 0]
    unknown = tint(image, np.full((1, 3), 255), RED[None])
    assert np.array_equal(unknown, image)


def test_cells_of_different_sizes_and_empty_ones_have_their_places():
    columns = [Column("a", [grey(40, 50), grey(20, 30)]), Column("b", [None, grey(10, 60)])]
    picture = np.array(draw_grid(columns, [("cat", RED)]))
    assert picture.shape == (22 + 6 + 40 + 6 + 20 + 6 + 22, 6 + 50 + 6 + 60 + 6, 3)
    assert (picture[22:62, 6:56] == 90).all()
    assert (picture[22:62, 62:] == 255).all()  # empty
    assert (picture[68:78, 62:122] == 90).all()
    assert (picture[-20:-10, 8:16] == tint(np.full((1, 1, 3), 128, np.uint8), np.zeros((1, 1), int), RED[None])).all()


def test_long_titles_widen_a_column_and_long_legends_wrap():
    narrow = draw_grid([Column("a", [grey(40, 50)])], [("cat", RED)])
    wide = draw_grid([Column("a title that is longer than its picture", [grey(40, 50)])], [("cat", RED)])
    assert wide.width > 200 > narrow.width
    legend = [(f"class {number}", RED) for number in range(10)]
    tall = draw_grid([Column("a", [grey(40, 100)])], legend)
    assert tall.width == 112
    assert tall.height == narrow.height + 9 * 22
    assert draw_grid([Column("a", [grey(40, 50)])], []).size == narrow.size


def test_a_name_longer_than_the_picture_is_not_cut():
    name = "a class whose name is longer than the picture"
    picture = np.array(draw_grid([Column("a", [grey(40, 50)])], [("cat", RED), (name, RED)]))
    assert (picture[:, -6:] == 255).all()
    assert picture.shape[1] > 6 + 12 + 6 + text_width(name, 13)
    assert not (picture[:, -40:-20] == 255).all()


def test_large_pictures_are_shrunk_and_small_ones_are_not():
    assert shrink(grey(40, 80), 20).shape == (10, 20, 3)
    assert shrink(grey(2, 800), 80).shape == (1, 80, 3)
    assert shrink(grey(40, 80)[:, ::-1], 80).shape == (40, 80, 3)
