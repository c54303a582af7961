"""Which methods the page offers."""

import re

import pytest

from mmseg_tfovss.catalogue import list_methods, method_names
from mmseg_tfovss.playground.choice import check_choice, chosen_at_start, offered_methods


def test_with_the_pocket_clip_all_with_settings_for_it():
    offered = offered_methods("pocket")
    assert {"sclip", "naclip", "dslo", "lht_clip_naclip"} <= set(offered) < set(method_names())
    assert "corrclip" not in offered


def test_with_other_weights_all_that_need_no_recorded_masks():
    assert set(method_names()) - set(offered_methods("openai")) == {"corrclip"}


@pytest.mark.slow  # reads a config of every method
def test_those_are_the_ones_that_the_catalogue_names():
    masked = {name for name, facts in list_methods().items() if "recorded masks" in facts.companions}
    assert set(method_names()) - set(offered_methods("openai")) == masked


def test_only_some_in_any_spelling_and_in_their_order():
    assert offered_methods("pocket", ["NACLIP", "lht-clip", "naclip"]) == ["naclip", "lht_clip"]


@pytest.mark.parametrize(
    ("pretrained", "asked", "message"),
    [
        (
            "pocket",
            "corrclip",
            "corrclip has no settings for the pocket CLIP (pretrained=pocket). Those that have: cass",
        ),
        ("openai", "corrclip", "corrclip needs masks recorded for its images"),
        ("pocket", "slcip", "'slcip' is neither a method nor a config. Did you mean sclip or "),
    ],
)
def test_a_method_that_cannot_run_is_refused(pretrained, asked, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        offered_methods(pretrained, ["sclip", asked])


def test_two_are_chosen_at_the_start():
    assert chosen_at_start(["clip", "naclip", "sclip"]) == ["sclip", "naclip"]
    assert chosen_at_start(["clip", "gem", "naclip"], ["clip", "gem", "naclip"]) == ["clip", "gem"]
    assert chosen_at_start(["clip", "gem"]) == ["clip"]
    assert chosen_at_start(["lht_clip", "gem"], ["LHT-CLIP", "gem"]) == ["lht_clip", "gem"]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ([], "Methods: choose at least one."),
        (list("abcde"), "Methods: choose at most 4; you have chosen 5."),
        (["a", "corrclip"], "Methods: this page does not offer corrclip. It offers a, b, c, d, e."),
    ],
)
def test_one_to_four_of_those_offered(chosen, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_choice(chosen, list("abcde"))
    check_choice(list("abcd"), list("abcde"))
