"""Class lists: words, synonyms, background, and what is wrong with a file."""

import pytest

from mmseg_tfovss.datasets.facts import FACTS
from mmseg_tfovss.vocabulary.classes import (
    DATA,
    Vocabulary,
    available_backgrounds,
    available_vocabularies,
    load_vocabulary,
    parse_classes,
)
from mmseg_tfovss.vocabulary.words import spoken


def write(folder, text, name="words.txt", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def test_synonyms_share_a_class(tmp_path):
    vocabulary = load_vocabulary(write(tmp_path, "cat\ndog, puppy ,hound\n\n  \nred cup\n"))
    assert vocabulary.classes == (("cat",), ("dog", "puppy", "hound"), ("red cup",))
    assert vocabulary.queries == ("cat", "dog", "puppy", "hound", "red cup")
    assert vocabulary.query_class == (0, 1, 1, 1, 2)
    assert vocabulary.names == ("cat", "dog", "red cup")


@pytest.mark.parametrize("text", ["\ufeffcat\r\ndog\r\n", "cat\ndog"], ids=["Windows", "no final newline"])
def test_byte_order_mark_and_line_ends_are_no_words(text, tmp_path):
    assert load_vocabulary(str(write(tmp_path, text))).queries == ("cat", "dog")


def test_a_file_without_suffix_is_read(tmp_path, monkeypatch):
    write(tmp_path, "cat\n", name="mywords")
    monkeypatch.chdir(tmp_path)
    assert load_vocabulary("mywords").queries == ("cat",)


def test_lines_may_be_given_directly():
    vocabulary = load_vocabulary(["cat", "dog, puppy"], background=["sky"])
    assert vocabulary.classes == (("sky",), ("cat",), ("dog", "puppy"))
    with pytest.raises(ValueError, match=r"^The given list is empty: name at least one class, one a line\.$"):
        load_vocabulary([])


def test_words_are_kept_beyond_ascii(tmp_path):
    assert load_vocabulary(write(tmp_path, "Straße\n")).queries == ("Straße",)


@pytest.mark.parametrize("text", ["", "\n  \n"])
def test_empty_file_is_named(text, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=r"The vocabulary .*words\.txt is empty: name at least one class"):
        load_vocabulary(path)


@pytest.mark.parametrize("line", ["dog,, puppy", "dog, ", ", dog"])
def test_empty_synonym_is_named(line):
    with pytest.raises(ValueError, match=r"^There is an empty word in line 2 of words\.txt: remove a separator, or "):
        parse_classes(["cat", line], "words.txt")


@pytest.mark.parametrize("line", [",", " , "])
def test_a_line_of_separators_is_named(line):
    with pytest.raises(ValueError, match=r"^There is no word in line 2 of words\.txt: give every class at least one"):
        parse_classes(["cat", line], "words.txt")


def test_class_without_words_is_named():
    with pytest.raises(
        ValueError, match=r"^There is no word in class 0 of the given list: give every class at least one\.$"
    ):
        Vocabulary(((),))


def test_unknown_name_offers_near_ones():
    with pytest.raises(ValueError, match=r"Unknown vocabulary 'voc12'\. Did you mean .*voc21.*Bundled names: .*voc20"):
        load_vocabulary("voc12")


def test_hopeless_name_lists_the_bundled_ones():
    with pytest.raises(ValueError, match=r"Unknown vocabulary 'qqqq'\. Bundled names: .*voc21"):
        load_vocabulary("qqqq")


@pytest.mark.parametrize("name", ["missing.txt", "folder/missing"])
def test_missing_file_is_named(name, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=rf"The vocabulary file .*{name} does not exist. Bundled names: .*voc20"
    ):
        load_vocabulary(tmp_path / name)


def test_file_in_another_encoding_is_named(tmp_path):
    path = write(tmp_path, "Straße\n", encoding="latin-1")
    with pytest.raises(ValueError, match=r"words\.txt is not UTF-8 text"):
        load_vocabulary(path)


@pytest.mark.parametrize("lines", [["cat", "puppy, dog"], ["cat", "dog"], ["cat, dog, puppy"], ["dog, puppy", "cat"]])
def test_hash_changes_with_words_groups_and_order(lines):
    reference = parse_classes(["cat", "dog, puppy"], "a")
    assert parse_classes(lines, "a").hash != reference.hash


def test_hash_does_not_depend_on_the_source():
    assert parse_classes(["cat", "dog"], "a").hash == parse_classes(["cat", " dog "], "b").hash


def test_background_words_become_class_zero(tmp_path):
    vocabulary = load_vocabulary(write(tmp_path, "cat\ndog\n"), background=["sky", "wall"])
    assert vocabulary.classes == (("sky", "wall"), ("cat",), ("dog",))
    assert vocabulary.hash != load_vocabulary(tmp_path / "words.txt").hash


def test_background_words_may_come_from_a_file(tmp_path):
    background = write(tmp_path, "sky, wall\ntree\n", name="background.txt")
    vocabulary = load_vocabulary(write(tmp_path, "cat\n"), background=str(background))
    assert vocabulary.classes == (("sky", "wall", "tree"), ("cat",))


def test_empty_background_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"^There is no word in the background words: give every class at least one\.$"
    ):
        load_vocabulary(write(tmp_path, "cat\n"), background=[])


def test_unknown_background_list_is_named(tmp_path):
    with pytest.raises(
        ValueError, match=r"Unknown background word list 'nowhere'\. Words are given as a list: \['nowhere'\]"
    ):
        load_vocabulary(write(tmp_path, "cat\n"), background="nowhere")


@pytest.mark.parametrize("name", available_vocabularies())
def test_bundled_lists_load_and_are_distinct(name):
    vocabulary = load_vocabulary(name)
    assert vocabulary.source == name
    assert len(set(vocabulary.names)) == len(vocabulary.classes) > 1
    assert all(query == query.strip() for query in vocabulary.queries)


@pytest.mark.parametrize(
    ("name", "classes", "queries"),
    [
        ("voc21", 21, 56),
        ("voc20", 20, 30),
        ("coco_object", 81, 113),
        ("context60", 60, 60),
        ("context59", 59, 59),
        ("coco_stuff164k", 171, 171),
        ("cityscapes", 19, 19),
        ("ade20k", 150, 150),
        ("pc459", 459, 459),
        ("ade847", 847, 847),
        ("voc20_clearclip", 20, 20),
        ("voc21_clearclip", 21, 21),
        ("coco_object_clearclip", 81, 81),
        ("voc21_proxyclip", 21, 46),
        ("voc21_corrclip", 21, 46),
        ("coco_object_corrclip", 81, 96),
        ("coco_object_proxyclip", 81, 97),
        ("voc21_cliptrase", 21, 53),
        ("coco_object_cliptrase", 81, 187),
        ("voc21_lposs", 21, 46),
        ("coco_object_lposs", 81, 97),
    ],
)
def test_counts_are_those_of_the_papers(name, classes, queries):
    vocabulary = load_vocabulary(name)
    assert (len(vocabulary.classes), len(vocabulary.queries)) == (classes, queries)


OWNERS = ("clearclip", "lposs", "proxyclip", "corrclip", "cliptrase", "clip_surgery", "coarse")


@pytest.mark.parametrize("name", available_vocabularies())
def test_bundled_lists_have_a_version_and_fit_their_dataset(name):
    assert load_vocabulary(name).version == "1"
    dataset = next(key for key in FACTS if name.removeprefix(key) in ("", *(f"_{owner}" for owner in OWNERS)))
    assert len(load_vocabulary(name).classes) == FACTS[dataset].classes


@pytest.mark.parametrize(
    ("name", "same"),
    [("ade20k_clearclip", "ade20k"), ("context60_proxyclip", "context60"), ("ade847_proxyclip", "ade847")],
)
def test_a_second_name_gives_the_same_list(name, same):
    assert load_vocabulary(name).hash == load_vocabulary(same).hash
    assert load_vocabulary(name).source == name


def test_the_background_is_class_zero_in_every_list():
    for name in ("voc21_cliptrase", "context60_cliptrase", "coco_object_cliptrase", "context60", "voc21_clearclip"):
        assert "background" in load_vocabulary(name).classes[0] or "sky" in load_vocabulary(name).classes[0]
        assert load_vocabulary(name).names[1] in ("aeroplane", "person")


def test_commas_of_ade847_belong_to_the_query():
    vocabulary = load_vocabulary("ade847")
    assert vocabulary.classes[1] == ("building, edifice",)
    assert vocabulary.names[300] == "altar, communion table, lords table"
    assert load_vocabulary("ade847_cliptrase").names[300] == "altar, communion table, lord's table"


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("cat\ndog, puppy", (("cat",), ("dog", "puppy"))),
        ("cat\ndog,puppy", (("cat",), ("dog", "puppy"))),
        ("cat\ndog; puppy", (("cat",), ("dog", "puppy"))),
        ("cat, tame\ndog;puppy", (("cat, tame",), ("dog", "puppy"))),
        ("# synonyms: none\ncat, tame\ndog;puppy", (("cat, tame",), ("dog;puppy",))),
        ("# Synonyms: comma\ncat;tame\ndog , puppy ", (("cat;tame",), ("dog", "puppy"))),
        ("# synonyms: semicolon\n# anything\ncat, tame", (("cat, tame",),)),
    ],
)
def test_separators_of_the_authors_files_are_understood(text, classes, tmp_path):
    assert load_vocabulary(write(tmp_path, text)).classes == classes


def test_semicolons_in_a_list_are_refused_unless_it_says_what_they_are():
    assert load_vocabulary(["# synonyms: semicolon", "cat; tame", "dog"]).classes == (("cat", "tame"), ("dog",))
    lines = (DATA / "voc21_proxyclip.txt").read_text().splitlines()
    assert load_vocabulary(lines).hash == load_vocabulary("voc21_proxyclip").hash
    with pytest.raises(ValueError, match=r'The text "cat; dog" of the given list holds ";": give each class a text'):
        load_vocabulary(["cat; dog", "sky"])


def test_unknown_separator_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"words\.txt says '# synonyms: tabs'; valid: comma, semicolon, none"):
        load_vocabulary(write(tmp_path, "# synonyms: tabs\ncat"))


def test_version_and_second_names_work_in_own_files(tmp_path):
    assert load_vocabulary(write(tmp_path, "# version: 7b\ncat")).version == "7b"
    assert load_vocabulary(write(tmp_path, "cat")).version is None
    assert load_vocabulary(write(tmp_path, "# same as: voc20")).hash == load_vocabulary("voc20").hash
    with pytest.raises(ValueError, match=r"Unknown vocabulary \(named in .*words\.txt\) 'voc12'"):
        load_vocabulary(write(tmp_path, "# same as: voc12"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sclip", 26),
        ("proxyclip", 17),
        ("corrclip", 16),
        ("cliper", 25),
        ("car", 23),
        ("cliptrase_voc21", 33),
        ("cliptrase_coco_object", 107),
    ],
)
def test_background_lists_have_the_papers_number_of_words(name, words):
    vocabulary = load_vocabulary(["cat"], background=name)
    assert len(vocabulary.classes[0]) == words
    assert vocabulary.source == f"given list with background {name}"
    assert set(available_backgrounds()) >= {name}


def test_sclips_background_is_in_its_lists():
    for name in ("voc21", "coco_object"):
        assert load_vocabulary(name).classes[0] == load_vocabulary(["cat"], background="sclip").classes[0]
    proxy = load_vocabulary("coco_object_proxyclip").classes[0]
    assert proxy == load_vocabulary(["cat"], background="proxyclip").classes[0]


def test_background_lists_are_no_vocabularies():
    assert not [name for name in available_vocabularies() if name.startswith("background_")]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["apple", "banana", "apple"],
            r'The word "apple" occurs twice \(line 1 of .*words\.txt and line 3 of .*words\.txt\)',
        ),
        (["cat", "# x", "", "dog, puppy, Dog"], r'The word "Dog" occurs twice \(within line 4 of .*words\.txt\)'),
        (["wall-other", "Wall  -  Other"], r'The word "Wall - Other" occurs twice'),
        (["# synonyms: none", "R&amp;D", "r&d"], r'The word "r&d" occurs twice'),
        (["caf\u00e9", "cafe\u0301"], "occurs twice"),
    ],
)
def test_a_word_stands_once(lines, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        load_vocabulary(write(tmp_path, "\n".join(lines)))
    assert load_vocabulary(write(tmp_path, "\n".join(["# duplicates: allowed", *lines]))).classes


def test_a_word_of_the_background_stands_nowhere_else(tmp_path):
    path = write(tmp_path, "cat\nbed\n")
    with pytest.raises(ValueError, match=r'"bed" occurs twice \(the background words and line 2 of .*words\.txt\)'):
        load_vocabulary(path, background="sclip")
    with pytest.raises(ValueError, match=r'"cat" occurs twice \(the background words and entry 1 of the given list\)'):
        load_vocabulary(["cat"], background=["sky", "cat"])


@pytest.mark.parametrize("name", ["coco_object", "coco_object_proxyclip", "voc21_cliptrase"])
def test_authors_files_with_a_word_twice_can_be_used_as_they_are(name, tmp_path):
    lines = [", ".join(queries) for queries in load_vocabulary(name).classes]
    assert load_vocabulary(write(tmp_path, "\n".join(lines))).hash == load_vocabulary(name).hash
    with pytest.raises(ValueError, match="occurs twice"):  # not those of a changed list
        load_vocabulary(write(tmp_path, "\n".join([*lines, "one more"])))


@pytest.mark.parametrize("name", available_vocabularies())
def test_the_lines_of_a_bundled_list_are_read_as_it_is(name, tmp_path):
    lines = [line for line in (DATA / f"{name}.txt").read_text().splitlines() if not line.startswith("#")]
    bundled = load_vocabulary(name)
    if not lines:  # a second name
        return
    for text in ("\n".join(lines), "# official\r\n\r\n" + "\r\n".join(f"{line}  " for line in lines)):
        own = load_vocabulary(write(tmp_path, text))
        assert (own.classes, own.background) == (bundled.classes, bundled.background)
    assert load_vocabulary(lines).classes == bundled.classes
    assert load_vocabulary(write(tmp_path, "\n".join(["# duplicates: allowed", *lines]))).classes == bundled.classes


def test_a_files_own_comments_come_first(tmp_path):
    lines = [line for line in (DATA / "ade847.txt").read_text().splitlines() if not line.startswith("#")]
    own = load_vocabulary(write(tmp_path, "\n".join(["# synonyms: comma", "# duplicates: allowed", *lines])))
    assert len(own.queries) == 1281


def test_only_four_bundled_lists_have_a_word_twice():
    twice = {
        name
        for name in available_vocabularies()
        if len({*map(spoken, load_vocabulary(name).queries)}) < len(load_vocabulary(name).queries)
    }
    assert twice == {"coco_object", "coco_object_lposs", "coco_object_proxyclip", "voc21_cliptrase"}


def test_classes_know_their_lines_but_are_equal_without(tmp_path):
    vocabulary = load_vocabulary(write(tmp_path, "# a comment\n\ncat\n  \ndog\n"))
    assert [vocabulary.place(number).split(" of ")[0] for number in (0, 1)] == ["line 3", "line 5"]
    assert load_vocabulary("voc20").place(0) == "line 3 of voc20"
    assert load_vocabulary(["cat", "dog"]).place(1) == "entry 2 of the given list"
    assert load_vocabulary(["cat"], background=["sky"]).place(0) == "the background words"
    same = parse_classes(["cat", "dog"], vocabulary.source)
    assert (same, same.hash) == (vocabulary, vocabulary.hash)
    assert Vocabulary((("cat",),)).place(0) == "class 0 of the given list"


def test_whether_class_0_is_a_background_is_said_by_the_list(tmp_path):
    assert load_vocabulary("voc21").background is True
    assert load_vocabulary("voc20").background is False
    assert load_vocabulary("voc20", background="sclip").background is True
    assert load_vocabulary(["cat"]).background is None
    assert load_vocabulary(write(tmp_path, "# background: class 0\nsky\ncat")).background is True
    assert load_vocabulary(write(tmp_path, "# background: none\nsky\ncat")).background is False
    assert load_vocabulary(write(tmp_path, "# same as: context60")).background is True
    with pytest.raises(ValueError, match="says '# background: yes'; valid: class 0, none"):
        load_vocabulary(write(tmp_path, "# background: yes\nsky\ncat"))
    with pytest.raises(ValueError, match="The vocabulary voc21 has its background already"):
        load_vocabulary("voc21", background="sclip")


def test_a_background_is_shown_as_such():
    assert load_vocabulary("voc21").shown_names[:2] == ("background", "aeroplane")
    assert load_vocabulary("voc20").shown_names == load_vocabulary("voc20").names
    assert load_vocabulary(["sky", "cat"]).shown_names == ("sky", "cat")
    assert load_vocabulary(["cat"], background=["sky", "wall"]).shown_names == ("background", "cat")


@pytest.mark.parametrize(
    "line", ["# synonym: none", "# Duplicate: allowed", "#backgrounds: class 0", "# same-as: voc20"]
)
def test_a_slip_in_a_comment_that_acts_is_no_comment(line, tmp_path):
    with pytest.raises(ValueError, match=r"Line 1 of .*words\.txt says .*which is no setting of a list: write '# "):
        load_vocabulary(write(tmp_path, f"{line}\ncat"))
    assert load_vocabulary(write(tmp_path, "# synonyms none\n# others: cup\ncat")).queries == ("cat",)


@pytest.mark.parametrize("words", [5, None, 0.5, True, {"cat": 1}, {"cat"}, b"cat"])
def test_what_is_no_list_of_words_is_shown(words):
    with pytest.raises(ValueError, match=r"vocabulary must be the name of a list, a file or a list of words, but got"):
        load_vocabulary(words)
    if words is not None:
        with pytest.raises(
            ValueError, match=r"background must be the name of a list, a file or a list of words, but got"
        ):
            load_vocabulary(["cup"], background=words)


@pytest.mark.parametrize("entry", [1, None, ["dog", "puppy"], {"dog": 1}, b"dog", 1.5])
def test_classes_are_texts(entry):
    for words, background in ((["cat", entry], None), (["cup"], ["cat", entry])):
        with pytest.raises(ValueError, match=r"must hold one text per class, as in .*, but its entry 2 is"):
            load_vocabulary(words, background)
    assert load_vocabulary(["1", "2"]).queries == ("1", "2")


@pytest.mark.parametrize("name", ["cat; dog", "cat, dog"])
def test_words_in_the_place_of_a_name_are_recognised(name):
    with pytest.raises(ValueError, match=r"Unknown vocabulary '.*'\. Words are given as a list: \['cat', 'dog'\]"):
        load_vocabulary(name)


@pytest.mark.parametrize("name", ["x" * 5000, "~nobody-of-this-name/words", "cat\0dog"])
def test_names_that_are_no_paths(name):
    with pytest.raises((ValueError, FileNotFoundError), match=r"name|exist") as error:
        load_vocabulary(name)
    assert str(error.value).isprintable()


def test_background_words_are_split_as_in_files():
    assert load_vocabulary(["cat"], background=["sky, wall", "tree"]).classes[0] == ("sky", "wall", "tree")
