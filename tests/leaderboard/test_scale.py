"""The colours of the page: told apart by lightness alone, and every text readable on what is behind it."""

import re

import pytest

from mmseg_tfovss.leaderboard.scale import DARK, LIGHT, STEPS, colours, contrast, luminance, rules, step_of, text_on
from mmseg_tfovss.leaderboard.style import STYLE

READABLE = 4.5  # WCAG 2.2, level AA, for text of this size
VISIBLE = 3.0  # the same for borders of controls and for what has the focus
# Of the page: text, what it stands on.
PAIRS = [
    (text, ground)
    for text in ("text", "faint", "accent", "above", "below")
    for ground in ("page", "stripe", "head", "warn")
    if (text, ground) not in {("faint", "head"), ("above", "warn"), ("below", "warn")}  # nowhere on the page
]


def page_colours(dark):
    """The colours by name, of one scheme."""
    found = dict(re.findall(r"--(\w+): (#\w{6});", STYLE.partition("@media")[0]))
    if dark:
        found |= dict(re.findall(r"--(\w+): (#\w{6});", STYLE.partition("@media")[2]))
    return found


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # the usual example of not enough
    assert contrast("#336699", "#336699") == 1
    assert luminance("#ff0000") == pytest.approx(0.2126)


@pytest.mark.parametrize(("anchors", "falls"), [(LIGHT, True), (DARK, False)])
def test_a_higher_value_is_farther_from_the_page_in_lightness(anchors, falls):
    found = [luminance(colour) for colour in colours(anchors)]
    assert len(set(found)) == STEPS + 1
    assert found == sorted(found, reverse=falls)
    assert (found[0] > found[-1] + 0.7) == falls
    assert [colours(anchors)[place] for place in (0, STEPS // 2, STEPS)] == list(anchors)


@pytest.mark.parametrize("anchors", [LIGHT, DARK])
def test_text_is_readable_on_every_step(anchors):
    for step, colour in enumerate(colours(anchors)):
        assert contrast(text_on(colour), colour) >= READABLE, step
        assert f".h{step} {{ background: {colour}; color: {text_on(colour)}; }}" in rules(anchors)


def test_the_lowest_step_is_the_page():
    assert colours(LIGHT)[0] == page_colours(dark=False)["page"]
    assert colours(DARK)[0] == page_colours(dark=True)["page"]


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_readable_everywhere_else(dark):
    found = page_colours(dark)
    for text, ground in PAIRS:
        assert contrast(found[text], found[ground]) >= READABLE, (text, ground)
    assert contrast(found["edge"], found["stripe"]) >= VISIBLE
    assert contrast(found["edge"], found["page"]) >= VISIBLE


def test_steps_are_of_five_points():
    assert [step_of(value) for value in (0, 2.4, 2.6, 50, 97.4, 97.6, 100)] == [0, 0, 1, 10, 19, 20, 20]


def test_nothing_on_the_page_moves():
    """So there is nothing to still for people who have asked for less motion."""
    assert not re.search(r"transition|animation|scroll-behavior|@keyframes", STYLE)
