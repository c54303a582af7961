"""Words and datasets: what speaks against their order, and what does not."""

import random
from functools import cache
from pathlib import Path

import pytest

from mmseg_tfovss.config import load_config
from mmseg_tfovss.datasets.facts import FACTS
from mmseg_tfovss.registry import DATASETS
from mmseg_tfovss.vocabulary import available_vocabularies, load_vocabulary
from mmseg_tfovss.vocabulary.agreement import check_background, check_fits, find_misplaced, is_background
from mmseg_tfovss.vocabulary.classes import parse_classes

CONFIGS = Path(__file__).parents[2] / "configs"
LEAVES = sorted(path for path in CONFIGS.rglob("*.py") if "_base_" not in path.parts)
POCKET = ["apple", "banana", "gift", "tree", "starfish", "donut", "fish", "ball", "grass", "water", "brick", "sky"]
# Those that have no unified protocol; tests/test_config.py says why.
AUTHORS_ONLY = {leaf for leaf in LEAVES if leaf.parent.name == "cliptrase_sam" or "_vit-b16-224_" in leaf.name}
THRESHOLDS = ("prob_threshold", "area_threshold")


def settings_of(leaves, protocols=({},)):
    """Words, thresholds and dataset of configs, each combination once, and the dataset's names."""
    found = {}
    for leaf in leaves:
        for options in protocols:
            if options and leaf in AUTHORS_ONLY:
                continue
            config = load_config(leaf, options)
            head, dataset = config.model.decode_head, config.test_dataloader.dataset
            thresholds = tuple(head.get(name) for name in THRESHOLDS)
            key = (head.vocabulary, head.get("background"), thresholds, config.dataset)
            found[key] = DATASETS.get(dataset.type).METAINFO["classes"]
    return found


@cache
def usual_settings():
    """Of the leaves that others derive their words from."""
    own = [leaf for leaf in LEAVES if leaf.parent.name != "ablations" and not leaf.stem.startswith("lht_clip_vit-b16-")]
    return settings_of(leaf for leaf in own if "_vit-l14" not in leaf.name)


@cache
def names_by_dataset():
    return {key[-1]: names for key, names in usual_settings().items()}


def check_all(settings):
    assert {key[-1] for key in settings} == set(FACTS)
    for (vocabulary, background, thresholds, dataset), names in settings.items():
        words = load_vocabulary(vocabulary, background)
        check_fits(words, names, dataset, dict(zip(THRESHOLDS, thresholds, strict=True)))
        for name, value in zip(THRESHOLDS, thresholds, strict=True):
            check_background(words, name, value)


def refusal(words, names, **options):
    """The message, or None."""
    try:
        check_fits(parse_classes(words, "words.txt"), names, "pocket", options, force=False)
    except ValueError as error:
        return str(error)
    return None


def test_no_usual_config_is_refused():
    check_all(usual_settings())


@pytest.mark.slow
def test_no_config_is_refused_under_any_protocol():
    assert len(LEAVES) > 300
    check_all(settings_of(LEAVES, ({}, {"protocol": "unified"})))


@pytest.mark.parametrize("dataset", FACTS)
def test_every_bundled_list_fits_its_dataset_and_tells_its_background(dataset):
    endings = ("", "_clearclip", "_cliptrase", "_proxyclip", "_corrclip", "_coarse")
    lists = [name for name in available_vocabularies() if name in {dataset + ending for ending in endings}]
    assert lists
    names = names_by_dataset()[dataset]
    assert is_background(names[0]) == FACTS[dataset].background
    for name in lists:
        words = load_vocabulary(name)
        check_fits(words, names, dataset, {})
        assert words.background is FACTS[dataset].background


def test_sorted_words_name_the_first_pair_that_differs():
    message = refusal(["apple", "banana", *sorted(POCKET[2:])], POCKET)
    assert message == (
        "The words of words.txt are not in the order of the dataset pocket: class 2 of the dataset is 'gift', but line"
        " 3 of words.txt is 'ball'; 'gift' is at line 7. Put the words in the dataset's order, or, if they"
        " are meant so, set force_vocabulary=True."
    )


def test_the_user_may_know_better():
    words = parse_classes(POCKET[::-1], "words.txt")
    check_fits(words, POCKET, "pocket", {"prob_threshold": 0.1}, force=True)
    with pytest.raises(ValueError, match="has 12 classes, but the dataset pocket has 11"):
        check_fits(words, POCKET[1:], "pocket", {}, force=True)
    with pytest.raises(ValueError, match="force_vocabulary must be True or False, but got 'no'"):
        check_fits(words, POCKET, "pocket", {}, force="no")


def test_one_line_of_words_is_one_class():
    message = refusal(["apple, banana, grass"], POCKET)
    assert "words.txt has 1 class, but the dataset pocket has 12" in message
    assert "synonyms are separated by commas, classes by lines" in message


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("tvmonitor", "TV monitor"),
        ("potted plant", "potted-plant"),
        ("traffic_light", "traffic lights"),
        ("pottedPlant", "potted plant"),
        ("knife", "knives"),
        ("cherry", "cherries"),
        ("bus", "buses"),
        ("wall-other", "wall"),
        ("wall-other", "other wall"),
        ("water (stuff)", "water"),
        ("door, double door", "door"),
        ("straße", "STRASSE"),
        ("café", "cafe\u0301"),
        ("dining table", "table"),
    ],
)
def test_near_names_are_found_where_they_do_not_belong(name, word):
    """Each way to write a name is evidence: a dataset of this class and a boat, whose words are swapped."""
    assert find_misplaced([("boat",), (word,)], ["boat", name]) is None
    assert find_misplaced([(word,), ("boat",)], ["boat", name]) is not None
    assert find_misplaced([(word,), ("ship",)], ["boat", name]) is not None or name == "dining table"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("bottle", "wine bottles"), ("bicycle", "racing bicycles")),
        (("tree", "tall trees"), ("roof", "red roofs")),
        (("bus", "city buses"), ("knife", "sharp knives")),
        (("glass", "wine glasses"), ("house", "old houses")),
        (("cherry", "red cherries"), ("cookie", "sweet cookies")),
        (("box", "large boxes"), ("horse", "riding horses")),
        (("bench", "park benches"), ("tomato", "ripe tomatoes")),
        (("shoe", "old shoes"), ("dish", "dirty dishes")),
        (("wall tile", "tiles"), ("bridge", "long bridges")),
    ],
)
def test_plurals_of_qualified_words_are_found(first, second):
    names, phrases = zip(first, second, strict=True)
    for words in (phrases, [phrase.replace("-", " ").title() for phrase in phrases]):
        assert find_misplaced([(word,) for word in words], names) is None
        assert find_misplaced([(word,) for word in words[::-1]], names) is not None


@pytest.mark.parametrize("name", ["voc21", "coco_object"])
def test_a_bundled_background_at_a_class_is_found(name):
    names = names_by_dataset()[name]
    for words in (load_vocabulary(f"{name}{ending}").classes for ending in ("", "_cliptrase", "_proxyclip")):
        for number in range(1, len(words), 1 if name == "voc21" else 7):
            order = list(range(len(words)))
            order[0], order[number] = number, 0
            assert find_misplaced([words[index] for index in order], names) is not None, number


def test_a_synonym_in_another_language_is_no_evidence():
    names = ("road", "sky", "person", "car", "truck", "bus", "train")
    french = [("route",), ("ciel",), ("personne",), ("voiture",), ("camion",), ("autobus", "car"), ("train",)]
    assert find_misplaced(french, names) is None
    english = [(name,) for name in names[:3]] + french[3:]
    assert find_misplaced(english, names) == (3, 5)
    swapped = [*french[:3], ("autobus",), ("camion",), ("car", "voiture"), ("train",)]
    assert find_misplaced(swapped, names) == (3, 5)


def test_words_that_fit_nowhere_prove_nothing():
    german = ["Apfel", "Banane", "Geschenk", "Baum", "Seestern", "Krapfen", "Fisch", "Kugel", "Gras", "Wasser"]
    assert refusal([*german, "Ziegel", "Himmel"], POCKET) is None
    assert refusal([f"concept {number}" for number in range(12)], POCKET) is None
    assert refusal(["苹果", "香蕉", *(f"词{number}" for number in range(10))], POCKET) is None
    assert refusal(["apple", *german[1:], "Ziegel", "Himmel"], POCKET) is None  # what fits stands where it belongs


def test_a_synonym_of_another_class_is_no_evidence():
    """ "bed" is a word of COCO-Object's background; a bag of a person is no person."""
    names = ["background", "person", "bed", "handbag"]
    assert find_misplaced([("sky", "bed"), ("human",), ("couch",), ("person with a bag", "purse")], names) is None
    assert find_misplaced([("sky", "bed"), ("handbag",), ("bed",), ("person",)], names) is not None


def test_a_background_changes_places_too():
    names = ["background", "cat", "dog"]
    background = ("sky", "wall", "tree")
    assert find_misplaced([background, ("cat",), ("dog",)], names) is None
    assert find_misplaced([("cat",), background, ("dog",)], names) is not None
    assert find_misplaced([("cat",), ("dog",), background], names) is not None
    assert find_misplaced([("cat",), ("dog",), ("background",)], names) is not None


def written_otherwise(name, draw):
    """A name as people write it."""
    ways = [
        str.upper,
        str.title,
        lambda text: text.replace(" ", "-"),
        lambda text: text.replace(" ", "_").replace("-", " "),
        lambda text: text.replace(" ", ""),
        lambda text: text if text.endswith("s") else f"{text}s",
        lambda text: text,
    ]
    return draw.choice(ways)(name)


def moved(count, draw):
    """A permutation that moves at least two."""
    order = list(range(count))
    kind = draw.choice(("swap", "shift", "shuffle", "cycle"))
    if kind == "shift":
        by = draw.randrange(1, count)
        return order[by:] + order[:by]
    chosen = draw.sample(order, {"swap": 2, "cycle": 3, "shuffle": count}[kind])
    for place, other in zip(chosen, chosen[1:] + chosen[:1], strict=True):
        order[place] = other
    return order


@pytest.mark.parametrize("seed", range(6))
def test_any_other_order_of_fitting_names_is_refused(seed):
    draw = random.Random(seed)
    for dataset, names in names_by_dataset().items():
        singular = [name for name in names if f"{name}s" not in names and not name.endswith("thing")]
        for _ in range(3):
            if dataset == "ade847" and seed:
                continue  # it takes longest
            words = [(written_otherwise(name, draw), f"synonym {number}") for number, name in enumerate(singular)]
            assert find_misplaced(words, singular) is None, dataset
            order = moved(len(singular), draw)
            assert find_misplaced([words[index] for index in order], singular) is not None, (dataset, order)


@pytest.mark.parametrize(
    "name", ["background", "_background_", "Back-Ground", "bg", "void", "other", "unlabelled", "background (void)"]
)
def test_names_of_everything_else(name):
    assert is_background(name)


@pytest.mark.parametrize("name", ["apple", "ground", "wall-other", "backpack", "", "?", "背景x"])
def test_other_names_are_classes(name):
    assert not is_background(name)


@pytest.mark.parametrize("option", THRESHOLDS)
def test_a_threshold_needs_a_dataset_with_a_background(option):
    message = refusal(POCKET, POCKET, **{option: 0.3})
    assert f"model.decode_head.{option}=0.3 makes class 0 the background" in message
    assert 'class 0 of the dataset pocket is "apple": set it to 0' in message
    assert refusal(POCKET, POCKET, **{option: 0}) is refusal(POCKET, POCKET, **{option: None}) is None
    assert refusal(["sky", *POCKET[1:]], ["background", *POCKET[1:]], **{option: 0.3}) is None
