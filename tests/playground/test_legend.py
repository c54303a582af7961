"""One legend for all overlays."""

import re

import numpy as np

from mmseg_tfovss.pictures.grid import legend_colour, tint
from mmseg_tfovss.pictures.overlay import named_colours
from mmseg_tfovss.playground.legend import class_shares, describe, draw_legend

NAMES = ["cat", "dog", "<b>grass</b>"]


def test_shares_are_of_all_pixels():
    assert class_shares(np.array([[0, 2], [2, 2]]), 4).tolist() == [0.25, 0, 0.75, 0]


def test_the_largest_class_comes_first_with_a_column_per_method():
    shares = {"sclip": np.array([0.25, 0.0, 0.75]), "naclip": np.array([0.5, 0.001, 0.499])}
    html = draw_legend(NAMES, shares)
    cells = re.findall(r"<t[hd](?: [^>]*)?>(?:<span[^>]*></span>)?([^<]*)", html)
    assert cells[:3] == ["class", "sclip", "naclip"]
    assert cells[3:] == ["&lt;b&gt;grass&lt;/b&gt;", "75%", "50%", "cat", "25%", "50%", "dog", "0%", "&lt;1%"]
    assert "Not found" not in html


def test_classes_that_occur_nowhere_are_named():
    assert "<p>Not found: dog, &lt;b&gt;grass&lt;/b&gt;.</p>" in draw_legend(NAMES, {"sclip": np.array([1.0, 0, 0])})


def test_many_classes_are_cut():
    names = [f"word {number}" for number in range(60)]
    html = draw_legend(names, {"sclip": np.linspace(1, 2, 60) / 90})
    assert html.count("<tr>") == 41
    assert "<p>20 more classes have smaller areas.</p>" in html


def test_swatches_have_the_overlays_colours():
    colours = named_colours(NAMES)
    html = draw_legend(NAMES, {"sclip": np.array([1.0, 0, 0])})
    shown = tint(np.full((1, 1, 3), 128, np.uint8), np.zeros((1, 1), int), colours)
    assert f"rgb{tuple(shown[0, 0].tolist())}" in html
    assert legend_colour(colours[0]) == tuple(shown[0, 0].tolist())


def test_a_screen_reader_is_told_the_largest_classes():
    assert describe("sclip", NAMES, np.array([0.2, 0.0, 0.8])) == "Labels of sclip: <b>grass</b> 80%, cat 20%"
    many = describe("sclip", list("abcdefg"), np.array([0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]))
    assert many == "Labels of sclip: a 40%, b 10%, c 10%, d 10%, e 10%, ..."
