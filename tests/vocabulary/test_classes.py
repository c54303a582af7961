"""Class lists: words, synonyms, background, and what is wrong with a file."""

import pytest

from mmseg_tfovss.datasets.facts import FACTS
from mmseg_tfovss.vocabulary.classes import (
    Vocabulary,
    available_backgrounds,
    available_vocabularies,
    load_vocabulary,
    parse_classes,
)


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
    with pytest.raises(ValueError, match="The vocabulary given list is empty"):
        load_vocabulary([])


def test_words_are_kept_beyond_ascii(tmp_path):
    assert load_vocabulary(write(tmp_path, "Straße\n")).queries == ("Straße",)


@pytest.mark.parametrize("text", ["", "\n  \n"])
def test_empty_file_is_named(text, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=r"The vocabulary .*words\.txt is empty: name at least one class"):
        load_vocabulary(path)


@pytest.mark.parametrize("line", ["dog,, puppy", "dog, ", ","])
def test_empty_synonym_is_named(line):
    with pytest.raises(ValueError, match=r"Class 1 of the vocabulary here has an empty query"):
        parse_classes(["cat", line], "here")


def test_class_without_words_is_named():
    with pytest.raises(ValueError, match="Class 0 of the vocabulary given list has an empty query"):
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
    with pytest.raises(ValueError, match=r"Class 0 of the vocabulary .* with background has an empty query"):
        load_vocabulary(write(tmp_path, "cat\n"), background=[])


def test_unknown_background_list_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"Unknown background word list 'nowhere'"):
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
        ("coco_object_proxyclip", 81, 97),
        ("voc21_cliptrase", 21, 53),
        ("coco_object_cliptrase", 81, 187),
    ],
)
def test_counts_are_those_of_the_papers(name, classes, queries):
    vocabulary = load_vocabulary(name)
    assert (len(vocabulary.classes), len(vocabulary.queries)) == (classes, queries)


@pytest.mark.parametrize("name", available_vocabularies())
def test_bundled_lists_have_a_version_and_fit_their_dataset(name):
    assert load_vocabulary(name).version == "1"
    dataset = next(
        key
        for key in FACTS
        if name in {key, *(f"{key}_{a}" for a in ("clearclip", "proxyclip", "cliptrase", "coarse"))}
    )
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
