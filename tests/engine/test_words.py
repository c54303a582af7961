"""Words of a run, and those of a command line."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.words import take_words

ROOT = Path(__file__).parents[2]
AREA = "model.decode_head.area_threshold"


def config(vocabulary="voc21", *, background=None, prob=0.1, area=0.1, name="sclip_voc21"):
    head = {
        "vocabulary": vocabulary,
        "background": background,
        "prob_threshold": prob,
        "area_threshold": area,
    }
    return Config({"run_name": name, "model": {"decode_head": head}})


def taken(classes, *, options=None, **settings):
    """The head, and what is said."""
    given = config(**settings)
    words = take_words([given], options or {}, classes)
    assert words.given == (classes is not None)
    return given.model.decode_head, words.lines


def test_words_take_the_place_of_the_configs_and_of_its_background():
    head, lines = taken("sky, cloud; temple; tree;", vocabulary="voc20", background="sclip")
    assert (head.vocabulary, head.background) == (["sky, cloud", "temple", "tree"], None)
    assert (head.prob_threshold, head.area_threshold) == (0.1, None)
    assert lines[0] == "3 classes (4 words): sky, temple, tree"
    assert lines[1].startswith(
        'note: class 0 ("sky") is the background: pixels below model.decode_head.prob_threshold=0.1 get it'
    )
    assert lines[2].startswith("note: model.decode_head.area_threshold=0.1 is off")


def test_thresholds_of_the_command_line_stay():
    head, lines = taken("sky; cat", options={AREA: 0.1}, prob=0)
    assert head.area_threshold == 0.1
    assert lines == [
        "2 classes (2 words): sky, cat",
        'note: class 0 ("sky") is the background: model.decode_head.area_threshold=0.1 removes small classes, but never'
        " this one.",
    ]
    head, _ = taken("sky; cat", options={"model": {"decode_head": {"area_threshold": 0.1}}})
    assert head.area_threshold == 0.1


def test_without_thresholds_there_is_nothing_to_say():
    assert taken("a; b; c, d; e; f; g", prob=0, area=None)[1] == ["6 classes (7 words): a, b, c, e, f, ..."]


def test_the_configs_own_words_keep_its_thresholds():
    head, lines = taken(None)
    assert (head.vocabulary, head.area_threshold) == ("voc21", 0.1)
    assert lines == ["21 classes (56 words): background, aeroplane, bicycle, bird, ship, ..."]


@pytest.mark.parametrize("vocabulary", ["words", ["cat", "dog"]])
def test_words_of_an_option_are_the_users_own_too(vocabulary, tmp_path, monkeypatch):
    (tmp_path / "words").write_text("cat\ndog\n")
    monkeypatch.chdir(tmp_path)
    head, lines = taken(None, vocabulary=vocabulary, options={"model.decode_head.vocabulary": vocabulary})
    assert head.area_threshold is None
    assert lines[0] == "2 classes (2 words): cat, dog"
    head, _ = taken(None, options={"model.decode_head.vocabulary": "voc21"})
    assert head.area_threshold == 0.1


def test_one_class_is_told_how_to_become_several(tmp_path):
    (tmp_path / "oneline.txt").write_text("apple, banana, grass\n")
    given = config()
    lines = take_words([given], {}, file=tmp_path / "oneline.txt").lines
    assert lines[:2] == [
        "1 class (3 words): apple",
        'hint: with one class, every pixel gets it. Separate classes by ";", or in a file by lines; what commas'
        " separate are synonyms of one class.",
    ]
    assert taken("sky, person, dog")[1][0] == "1 class (3 words): sky"


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("", "--classes has no class"),
        (" ; ;", "--classes has no class"),
        ("cat;;dog", "--classes has no word for class 1"),
        ("; cat", "--classes has no word for class 0"),
        ("cat;dog;;", "--classes has no word for class 2"),
        ("cat; # dog", '--classes: class 1 begins with "#"'),
        ("cat; dog,, puppy", "There is an empty word in entry 2 of the given list"),
        ("cat; dog; Cat", '"Cat" occurs twice \\(entry 1 of the given list and entry 3'),
        ("cat; d\nog", r"Entry 2 of the given list holds the invisible character U\+000A \(line break\)"),
        ("cat; d\udcffog", r"U\+DCFF \(bytes that are not UTF-8\)"),
    ],
)
def test_classes_that_are_none(classes, message):
    with pytest.raises(ValueError, match=message):
        taken(classes)


@pytest.mark.parametrize("key", ["model.decode_head.vocabulary", "model.decode_head.background"])
def test_words_are_given_once(key, tmp_path):
    for options in ({key: "voc20"}, {key.rpartition(".")[0]: {key.rpartition(".")[2]: "voc20"}}):
        with pytest.raises(ValueError, match=f"--classes takes the place of {key}: leave one of them out"):
            taken("cat; dog", options=options)
        with pytest.raises(ValueError, match="--classes-file takes the place"):
            take_words([config()], options, file=tmp_path)


def test_a_class_file_must_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"The class file .*none\.txt does not exist"):
        take_words([config()], {}, file=tmp_path / "none.txt")


def test_of_several_configs_it_is_said_which():
    lines = take_words([config(), config(name="clip_ade20k", prob=0, area=None)], {}, "sky; cat").lines
    assert lines[0] == "2 classes (2 words): sky, cat"
    assert [line.partition(":")[0] for line in lines[1:]] == ["sclip_voc21", "sclip_voc21"]


def test_a_real_config_is_taken(words_file):
    given = load_config(ROOT / "configs/sclip/sclip_vit-b16_voc21.py")
    lines = take_words([given], {}, file=words_file).lines
    assert lines[0] == "4 classes (7 words): sky, cat, cup, flower"
    assert len(lines) == 3
