"""Prompts longer than what a text tower reads."""

import pytest

from mmseg_tfovss.encoders.weights import load_clip
from mmseg_tfovss.vocabulary.classes import parse_classes
from mmseg_tfovss.vocabulary.lengths import PublishedClip, check_lengths
from mmseg_tfovss.vocabulary.templates import available_templates, load_templates


@pytest.fixture(scope="module")
def encoder(mini_clip):
    return load_clip("auto", str(mini_clip)).text


def words(count, end="apple"):
    """A description of so many tokens, without start and end."""
    return " ".join(["round"] * (count - 1) + [end])


def test_tokens_are_counted_uncut(encoder):
    assert encoder.context_length == 77
    prompts = ["apple", words(100), ""]
    assert encoder.count_tokens(prompts) == PublishedClip().count_tokens(prompts) == [3, 102, 2]
    assert PublishedClip.context_length == 77


@pytest.mark.parametrize("name", available_templates())
def test_the_longest_template_decides(name, encoder):
    templates = load_templates(name)
    around = max(encoder.count_tokens([template.replace("{}", "") for template in templates]))
    fits = words(77 - around)
    check_lengths(parse_classes(["cat", fits], "words.txt"), templates, encoder)
    assert max(encoder.count_tokens([template.replace("{}", fits) for template in templates])) == 77
    with pytest.raises(
        ValueError, match=r'The word "round .*\.\.\." \(line 2 of words\.txt\) makes 78 tokens'
    ) as error:
        check_lengths(parse_classes(["cat", f"dog, {fits} x"], "words.txt"), templates, encoder)
    assert ("in the prompt" in str(error.value)) == (name != "plain")


def test_two_descriptions_that_differ_where_they_are_cut(encoder):
    lines = ["# synonyms: none", words(100, "apple"), words(100, "banana")]
    with pytest.raises(ValueError, match="the text tower reads 77: shorten it"):
        check_lengths(parse_classes(lines, "long.txt"), ("a photo of a {}.",), encoder)
