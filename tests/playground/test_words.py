"""What is typed into the page, read as tfovss demo reads --classes and a class file."""

import re

import pytest

from mmseg_tfovss.engine.words import take_words
from mmseg_tfovss.playground.words import MOST_CLASSES, check_different, read_classes, unknown_to_pocket
from tests.playground.loaded import pocket_config


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("cat; dog, puppy; grass", ["cat", "dog, puppy", "grass"]),
        ("cat\ndog, puppy\r\n\n  grass  \n", ["cat", "dog, puppy", "grass"]),
        ("cat; dog;\ngrass", ["cat", "dog", "grass"]),
        ("Zürich; 猫", ["Zürich", "猫"]),
    ],
)
def test_lines_and_semicolons_separate_classes(text, classes):
    assert read_classes(text) == classes


@pytest.mark.parametrize("text", ["cat; dog, puppy; grass", "cat;dog", "a photo of a cat; dog;", "hot dog,sausage; x"])
def test_words_are_those_of_the_demo(text, tmp_path):
    by_page, by_demo, by_file = pocket_config("sclip"), pocket_config("sclip"), pocket_config("sclip")
    by_page.model.decode_head.vocabulary = read_classes(text)
    take_words([by_demo], {}, classes=text)
    (tmp_path / "words.txt").write_text(text.removesuffix(";").replace(";", "\n"))
    take_words([by_file], {}, file=tmp_path / "words.txt")
    assert read_classes(text) == by_demo.model.decode_head.vocabulary
    assert read_classes(text) == [line.strip() for line in (tmp_path / "words.txt").read_text().splitlines()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Words: type at least one class, for example: cat; dog, puppy; grass."),
        (" \n \n", "Words: type at least one class"),
        ("cat;; dog", 'Words: the line "cat;; dog" has one ";" too many.'),
        ("cat\n;", 'Words: the line ";" has one ";" too many.'),
        ("cat\n# a comment", 'Words: class 1 begins with "#"'),
        ("\n".join(f"word {number}" for number in range(MOST_CLASSES + 1)), "Words: 257 classes are too many"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(text, message):
    with pytest.raises(ValueError, match=rf"^{re.escape(message)}[^\n]*$"):
        read_classes(text)


def test_a_message_names_its_field():
    with pytest.raises(ValueError, match=r"^Background words: the line"):
        read_classes("a;;b", "Background words")


@pytest.mark.parametrize("classes", [["cat", "Cat"], ["cat, dog", "puppy,dog "], ["cat,  hot dog, hot  dog"]])
def test_a_word_stands_once(classes):
    with pytest.raises(ValueError, match=r'^The word "\w[\w ]*" stands twice: remove one of the two\.$'):
        check_different(classes)


def test_other_words_may_share_parts():
    check_different(["hot dog", "dog", "dogs", "hot"])


def test_the_pocket_clip_knows_fourteen_words():
    assert unknown_to_pocket(["apple, Banana", "grass", "cat, fish, brick wall"]) == ["cat", "brick wall"]
