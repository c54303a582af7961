"""Lists of other programs: numbers, columns and quotes are no words, and words with numbers are."""

import random

import pytest

from mmseg_tfovss.vocabulary.classes import available_vocabularies, load_vocabulary
from mmseg_tfovss.vocabulary.marks import check_marks

WORDS = ["accordion", "air conditioner", "bag", "wall, brick wall", "tv monitor", "cat", "T-shirt", "person", "rug"]
MARKED = [
    ("{number}: {word}", "running number"),
    ("{number}:{word}", "running number"),
    ("{number}. {word}", "running number"),
    ("{number}.{word}", "running number"),
    ("({number}) {word}", "running number"),
    ("{number}) {word}", "running number"),
    ("{number} - {word}", "running number"),
    ("{number}: '{word}',", "running number"),
    ("{number},{word}", "running number"),
    ("{number}; {word}", "running number"),
    ("{number:03d} {word}", "running number"),
    ("{number} {word}", "running number"),
    ("{number}\t0.11\t7\t{word}", "columns of numbers"),
    ("{number}\t{word}", "columns of numbers"),
    ("{word}\t{number}", "columns of numbers"),
    ("{word}: {number}", "ends in a number"),
    ("{word},{number}", "column of numbers"),
    ("'{word}'", "in quotes"),
    ('"{word}",', "in quotes"),
    ("\u201c{word}\u201d", "in quotes"),
    ("- {word}", "bullet"),
]


@pytest.mark.parametrize(("form", "told"), MARKED)
@pytest.mark.parametrize("first", [0, 1])
def test_marks_in_every_line_are_named(form, told, first, tmp_path):
    lines = [form.format(number=number, word=word) for number, word in enumerate(WORDS, first)]
    path = tmp_path / "labels.txt"
    for extra in ([], ["one more"]):
        path.write_text("\n".join([*extra, *lines]))
        with pytest.raises(ValueError, match=rf"Nearly every line of .*labels\.txt .*{told}.*: (strip|keep) the"):
            load_vocabulary(path)
    with pytest.raises(ValueError, match="of the background words"):
        load_vocabulary(["sofa"], background=lines)


def test_lists_of_python_and_json_are_named():
    with pytest.raises(ValueError, match="is in quotes"):
        check_marks(["[", '  "cat",', '  "dog",', '  "cow"', "]"], "words.txt")


@pytest.mark.parametrize(
    "lines",
    [
        ["1", "2", "3", "4"],
        ["7 seater car", "van", "bus", "truck"],
        ["1 apple", "2 apples", "3 apples", "4 apples"],
        ["1 euro coin", "2 euro coin", "5 euro note"],
        ["1.5 litre bottle", "2.5 litre bottle", "3.5 litre can", "4.5 litre box"],
        ["3d printer", "4x4 car", "5th wheel", "747 plane"],
        ["0, zero", "cat", "dog"],
        ["# synonyms: comma", "1, one", "2, two", "3, three", "4, four"],
        ["# synonyms: comma", "one, 1", "two, 2", "three, 3", "four, 4"],
        ["'burger'", "cat", "driver's seat"],
        ["concept 1", "concept 2", "concept 3"],
        ["wall-other", "x-ray", "t-shirt"],
    ],
)
def test_words_with_numbers_and_signs_are_words(lines):
    assert load_vocabulary(lines).classes


def test_a_bundled_list_with_marks_is_refused_and_without_is_not():
    draw = random.Random(0)
    for name in available_vocabularies():
        words = [", ".join(queries) for queries in load_vocabulary(name).classes]
        check_marks(words, name)
        form, told = draw.choice(MARKED)
        lines = [form.format(number=number, word=word) for number, word in enumerate(words, 1)]
        with pytest.raises(ValueError, match=told):
            check_marks(lines, name)
