"""Do a list of words and a dataset mean the same class by the same number?

Authors say a class in other words than the dataset ("ship" for "boat"), or in another language, so that words which
do not fit prove nothing. Words that fit another class do: class i of the dataset is misplaced if the words of a class j
say its name better than its own words, and better than they say j's name. How well a word says a name:

    5  the same but for case, blanks and punctuation      tvmonitor = tv monitor
    4  ... and for the plural and the order of words      car = cars
    3  ... and for what qualifies a name, or a part of it that stands for the whole
                                                          wall-other = wall, "door, double door" = door
    2  all words of one are in the other                  dining table > table
    1  some part is shared                                brick wall ~ wall tile

Only 3 and more are evidence by themselves; 2 is, where nothing else fits and the class's own words say another's name.
A word that is not the first of its class is none where less than half of the names are said anywhere: in a list of
another language it may mean something else ("autobus, car" is French for a bus). Words of the bundled backgrounds at
the place of a class, while there are none at the place of the background, are evidence too.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import regex

from mmseg_tfovss.vocabulary.classes import Vocabulary, available_backgrounds, load_vocabulary
from mmseg_tfovss.vocabulary.words import count_of, cut, quoted

# Names of "everything else", as datasets have them.
_EVERYTHING_ELSE = regex.compile(
    "backgrounds?|bg|backdrop|others?|rest|misc|miscellaneous|clutter|void|none|nothing|null|unknown|undefined"
    "|ignored?|everything|else|everythingelse|unlabell?ed|unlabel|unannotated"
)
_QUALIFIERS = frozenset(("other", "others", "stuff", "thing", "things", "merged", "general"))
_SAME, _PART, _CONTAINED, _SHARED = 4, 3, 2, 1
_FEWEST = 4  # words by which a background is known
_BACKGROUND_WORDS = 0.7  # of its words are those of bundled backgrounds
_SHORTEST = 4  # letters that are no accident when two words share them
_BEFORE_ES = ("se", "xe", "ze", "che", "she", "oe")  # whose e may be the plural's
_Forms = Mapping[str, int]  # ways to write a name -> how well they stand for it


class Misplaced(NamedTuple):
    """A class of a dataset whose name is said at another place.

    Attributes:
        number: of the class.
        found: the class whose words say its name.
    """

    number: int
    found: int


def check_fits(
    vocabulary: Vocabulary,
    classes: Sequence[str],
    dataset: str,
    thresholds: Mapping[str, float | None],
    *,
    force: object = False,
) -> None:
    """Refuse words that are not those of a dataset, as far as names can tell.

    Args:
        vocabulary: one class for each of the dataset's.
        classes: the dataset's own names.
        dataset: its name, for messages.
        thresholds: the head's ``prob_threshold`` and ``area_threshold``, by name.
        force: the config's ``force_vocabulary``: the user knows better. The number of classes counts all the same.

    Raises:
        ValueError: another number of classes; another order; a threshold that makes class 0 the background of a dataset
            which has none; or ``force`` is neither True nor False.
    """
    if not isinstance(force, bool):
        raise ValueError(f"force_vocabulary must be True or False, but got {force!r}.")
    check_count(vocabulary, classes, dataset)
    if force:
        return
    check_order(vocabulary, classes, dataset)
    for name, value in thresholds.items():
        if _acts(value) and not is_background(classes[0]):
            raise ValueError(
                f"model.decode_head.{name}={value} makes class 0 the background, but class 0 of the dataset {dataset}"
                f" is {quoted(classes[0])}: set it to 0; or, if that class is everything else, call it background"
                " in the dataset's classes, or set force_vocabulary=True."
            )


def check_background(vocabulary: Vocabulary, name: str, value: float | None) -> None:
    """Refuse a threshold that makes class 0 the background of a list that has none.

    Whether class 0 of a user's own words is one, the user knows.

    Args:
        vocabulary: its ``background`` is asked.
        name: of the head's option.
        value: the threshold; 0 and None make class 0 nothing special.

    Raises:
        ValueError: the list says that it has no background.
    """
    if _acts(value) and vocabulary.background is False:
        raise ValueError(
            f"model.decode_head.{name}={value} makes class 0 the background, but class 0 of {vocabulary.source} is"
            f" {quoted(vocabulary.names[0])}, and that list has no background: set it to 0, or put background words in"
            f" front with model.decode_head.background=['sky', 'wall'] (bundled: {', '.join(available_backgrounds())})."
        )


def check_count(vocabulary: Vocabulary, classes: Sequence[str], dataset: str) -> None:
    """Raise ValueError unless a vocabulary has one class for each of the dataset's."""
    count = len(vocabulary.classes)
    if count == len(classes):
        return
    words = len(vocabulary.queries)
    hint = " (synonyms are separated by commas, classes by lines)" if count == 1 < words else ""
    raise ValueError(
        f"The vocabulary {vocabulary.source} has {count_of(count, 'class', 'classes')}, but the dataset {dataset} has"
        f" {len(classes)}: set model.decode_head.vocabulary to a list for this dataset{hint}."
    )


def check_order(vocabulary: Vocabulary, classes: Sequence[str], dataset: str) -> None:
    """Raise ValueError when the words stand in another order than the dataset's classes, as far as names can tell.

    Args:
        vocabulary: one class for each of the dataset's.
        classes: the dataset's own names.
        dataset: its name, for messages.
    """
    misplaced = find_misplaced(vocabulary.classes, classes)
    if misplaced is None:
        return
    number, found = misplaced
    there = vocabulary.place(found).removesuffix(f" of {vocabulary.source}")  # which is named already
    raise ValueError(
        f"The words of {vocabulary.source} are not in the order of the dataset {dataset}: class {number} of the dataset"
        f" is {_name(classes[number])}, but {vocabulary.place(number)} is {_name(vocabulary.names[number])};"
        f" {_name(classes[number])} is at {there}. Put the words in the dataset's order, or, if"
        " they are meant so, set force_vocabulary=True."
    )


def find_misplaced(words: Sequence[Sequence[str]], names: Sequence[str]) -> Misplaced | None:
    """The first class of a dataset whose name is said at another place than its own.

    Args:
        words: the queries of each class.
        names: as many; the dataset's.

    Returns:
        The class and the other place, or None if nothing speaks against the order.
    """
    own = [_best(queries, name) for queries, name in zip(words, names, strict=True)]
    places = _places(words)
    said = sum(fit > 0 or bool(_strong(places, name)) for fit, name in zip(own, names, strict=True))
    is_foreign = 2 * said < len(names)
    for number, name in enumerate(names):
        scored = _strong(places, name) if own[number] < _SAME + 1 else {}
        for found in sorted(scored, key=lambda place: (-scored[place], place)):
            if is_foreign and _strength(words[found][0], name) < _PART:
                continue
            if found != number and scored[found] > max(own[number], _fit_there(found, name, words, names, own)):
                return Misplaced(number, found)
    return _misplaced_background(words, names, own) or _weakly_misplaced(words, names, own)


def is_background(name: str) -> bool:
    """Whether a class's name says that it is everything else: ``background``, ``_background_``, ``void`` ..."""
    words = _split(name)
    return bool(words) and (
        _EVERYTHING_ELSE.fullmatch("".join(words)) is not None
        or all(_EVERYTHING_ELSE.fullmatch(word) for word in words)
    )


def _acts(threshold: object) -> bool:
    """Whether a threshold is on; what is no number is refused where its range is checked."""
    return isinstance(threshold, int | float) and bool(threshold)


def _fit_there(found: int, name: str, words: Sequence[Sequence[str]], names: Sequence[str], own: Sequence[int]) -> int:
    """How well the words at a place fit that place; those of a background do, unless they begin with a class's name."""
    if is_background(names[found]) and _strength(words[found][0], name) < _PART:
        return _SAME + 2
    return own[found]


def _misplaced_background(words: Sequence[Sequence[str]], names: Sequence[str], own: Sequence[int]) -> Misplaced | None:
    """A background whose place has words of no background, while those of a class are nearly all such words."""
    for number, name in enumerate(names):
        if own[number] or not is_background(name) or _are_of_background(words[number], _BACKGROUND_WORDS / 2):
            continue
        for found, queries in enumerate(words):
            fits = is_background(names[found]) or _strength(queries[0], names[found]) >= _PART
            if not fits and _are_of_background(queries, _BACKGROUND_WORDS):
                return Misplaced(number, found)
    return None


def _are_of_background(queries: Sequence[str], share: float) -> bool:
    """Whether words are several, and so many of them as are asked for are those of bundled backgrounds."""
    if len(queries) < _FEWEST:
        return False
    known = _background_words()
    return sum(_flat(query) in known for query in queries) >= share * len(queries)


@cache
def _background_words() -> frozenset[str]:
    """The words of all bundled backgrounds."""
    lists = (load_vocabulary(["class"], background=name).classes[0] for name in available_backgrounds())
    return frozenset(_flat(word) for queries in lists for word in queries)


def _weakly_misplaced(words: Sequence[Sequence[str]], names: Sequence[str], own: Sequence[int]) -> Misplaced | None:
    """The first class whose name is contained in words elsewhere, while its own words contain another class's name.

    Only classes whose words do not fit at all count.
    """
    lost = {number for number, fit in enumerate(own) if not fit and not is_background(names[number])}
    places: dict[str, set[int]] = defaultdict(set)
    for number in lost:
        for word in {word for query in words[number] for word in _singulars(query)}:
            places[word].add(number)
    elsewhere: dict[int, int] = {}
    claimed: set[int] = set()
    for number in sorted(lost):
        near = set().union(*(places[word] for word in _singulars(names[number]) if word in places))
        for found in sorted(near - {number}):
            if _best(words[found], names[number]) >= _CONTAINED:
                elsewhere.setdefault(number, found)
                claimed.add(found)
    return next((Misplaced(number, found) for number, found in elsewhere.items() if number in claimed), None)


def _places(words: Sequence[Sequence[str]]) -> Mapping[str, list[tuple[int, int]]]:
    """Form -> the classes with such a word, and how well the form stands for it."""
    places: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, queries in enumerate(words):
        for query in queries:
            for form, strength in _forms(query).items():
                places[form].append((number, strength))
    return places


def _strong(places: Mapping[str, list[tuple[int, int]]], name: str) -> dict[int, int]:
    """Class -> how well its words say a name, where that is 3 or more."""
    found: dict[int, int] = {}
    for form, strength in _forms(name).items():
        for number, other in places.get(form, ()):
            found[number] = max(found.get(number, 0), min(strength, other))
    return found


def _best(queries: Sequence[str], name: str) -> int:
    return max(_strength(query, name) for query in queries)


def _strength(query: str, name: str) -> int:
    """How well a word says a name, 0 .. 5."""
    one, other = _forms(query), _forms(name)
    equal = max((min(strength, other[form]) for form, strength in one.items() if form in other), default=0)
    return equal or _overlap(query, name)


def _overlap(query: str, name: str) -> int:
    one, other = _singulars(query), _singulars(name)
    if one and other and (one <= other or other <= one):
        return _CONTAINED
    short, long = sorted((_flat(query), _flat(name)), key=len)
    return _SHARED if one & other or (len(short) >= _SHORTEST and short in long) else 0


@cache
def _forms(text: str) -> _Forms:
    """Ways to write a name; the best one where it is several."""
    forms: dict[str, int] = {}
    for part in regex.split(r"[,;/|()\[\]]", text):
        parts = [word for word in _split(part) if word not in _QUALIFIERS]
        for form in _plurals(parts):
            forms[form] = _PART
    for form in _plurals(_split(text)):
        forms[form] = _SAME
    forms[_flat(text)] = _SAME + 1
    return {form: strength for form, strength in forms.items() if form}


def _plurals(words: Sequence[str]) -> set[str]:
    """A phrase in one word: as it is, in the singular, and with its words sorted."""
    if not words:
        return set()
    single = sorted(_singular(word) for word in words)
    return {"".join(words), *("".join(words[:-1]) + last for last in _stems(words[-1])), f"{' '.join(single)}"}


def _singulars(text: str) -> frozenset[str]:
    return frozenset(_singular(word) for word in _split(text))


@cache
def _singular(word: str) -> str:
    """What a word and its English plural have in common: ``buses`` and ``bus``, ``bottles`` and ``bottle``.

    No word is known by heart, so this may lack the last letters of either: ``hors`` of ``horse`` and ``horses``.
    """
    if len(word) > _SHORTEST - 1 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if word.endswith(("ve", "fe")) and len(word) > _SHORTEST - 1:
        return f"{word[:-2]}f"
    if word.endswith("ie"):
        return f"{word[:-2]}y"
    return word[:-1] if word.endswith(_BEFORE_ES) else word


@cache
def _stems(word: str) -> tuple[str, ...]:
    """A word, and what it may be the plural of."""
    stems = [word]
    for ending, replacement in (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) > 1 and not word.endswith("ss"):
            stems.append(word.removesuffix(ending) + replacement)
    return tuple(stems)


@cache
def _split(text: str) -> tuple[str, ...]:
    """The words of a name in lower case; ``pottedPlant`` has two."""
    spaced = regex.sub(r"(?<=\p{Ll})(?=\p{Lu})", " ", unicodedata.normalize("NFKC", text))
    return tuple(regex.findall(r"[\p{L}\p{M}\p{N}]+", spaced.casefold()))


def _flat(text: str) -> str:
    """Letters and digits only; the text itself if it has none."""
    return "".join(_split(text)) or text.strip()


def _name(text: str) -> str:
    return f"'{cut(text)}'"
