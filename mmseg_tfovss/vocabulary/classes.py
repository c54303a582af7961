"""Class lists: which words (queries) stand for which class.

A list is a text file, one class a line. Lines that start with ``#`` are comments; some of them say something:

    # version: 1            of the list; goes into every result
    # source: ...           where the words come from
    # synonyms: none        how a line is split: comma | semicolon | none (the whole line is one query)
    # background: class 0   the first class is "everything else"; none: the list has no such class
    # duplicates: allowed   a word may stand twice, as in some authors' lists
    # same as: voc21        this list is another one under a second name

Without ``synonyms`` a file that holds a semicolon anywhere is split at semicolons, any other at commas; blanks around
words do not count. (SCLIP's files use ", ", ClearCLIP's ",", ProxyCLIP's "; ": all can be used as they are.)
Without ``background`` a bundled list has none, and of any other it is not known.
Lines that are exactly those of a bundled list are read as that list is: what its comments say holds for them too, save
where the file's own comments say otherwise.
"""

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from mmseg_tfovss.vocabulary.comments import ALLOWED, BACKGROUNDS, SEPARATORS, is_comment, read_headers
from mmseg_tfovss.vocabulary.marks import check_marks
from mmseg_tfovss.vocabulary.words import check_text, quoted, read_lines, spoken, tidy

DATA = Path(__file__).parent / "data"
BACKGROUND = "background"  # how class 0 is shown where it is one, whatever its words are
_GIVEN = "given list"  # the source of words that come from no file
_BACKGROUND_PREFIX = "background_"
_READING = ("synonyms", "background", "duplicates")  # comments that say how lines are read
_MOST_WORDS = 50_000  # ImageNet-21k has fewer


@dataclass(frozen=True)
class Vocabulary:
    """An ordered list of classes, each with one or more queries (synonyms).

    Attributes:
        classes: one tuple of queries per class; the index is the class id.
        source: where it came from (a bundled name or a file), for messages and results.
        version: of a bundled list; None when the list does not say.
        background: whether class 0 is "everything else"; None when the list does not say.
        places: where each class stands, for messages; empty when that is not known.

    Raises:
        ValueError: no class, or a class without words.
    """

    classes: tuple[tuple[str, ...], ...]
    source: str = _GIVEN
    version: str | None = None
    background: bool | None = field(default=None, compare=False)
    places: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.classes:
            name = f"{'' if self.source == _GIVEN else 'vocabulary '}{self.source}"
            raise ValueError(f"The {name} is empty: name at least one class, one a line.")
        for number, queries in enumerate(self.classes):
            if not any(queries):
                raise ValueError(f"There is no word in {self.place(number)}: give every class at least one.")
            if not all(queries):
                raise ValueError(
                    f"There is an empty word in {self.place(number)}: remove a separator, or write a word beside it."
                )

    @property
    def queries(self) -> tuple[str, ...]:
        """All Q queries, class after class."""
        return tuple(query for queries in self.classes for query in queries)

    @property
    def query_class(self) -> tuple[int, ...]:
        """The class id of each of the Q queries."""
        return tuple(number for number, queries in enumerate(self.classes) for _ in queries)

    @property
    def names(self) -> tuple[str, ...]:
        """The first query of each class."""
        return tuple(queries[0] for queries in self.classes)

    @property
    def shown_names(self) -> tuple[str, ...]:
        """One name per class for legends: "background" for a class 0 that is one, else the first query."""
        return (BACKGROUND, *self.names[1:]) if self.background else self.names

    def place(self, number: int) -> str:
        """Where a class stands, for messages: ``line 3 of words.txt``."""
        return self.places[number] if self.places else f"class {number} of the {self.source}"

    @property
    def hash(self) -> str:
        """sha256 of the classes and their queries, in order."""
        return hashlib.sha256(json.dumps(self.classes).encode()).hexdigest()


def available_vocabularies() -> list[str]:
    """Names of the bundled class lists."""
    return [name for name in _bundled_files() if not name.startswith(_BACKGROUND_PREFIX)]


def available_backgrounds() -> list[str]:
    """Names of the bundled lists of background words."""
    names = (name for name in _bundled_files() if name.startswith(_BACKGROUND_PREFIX))
    return [name.removeprefix(_BACKGROUND_PREFIX) for name in names]


@cache
def _bundled_files() -> tuple[str, ...]:
    """They do not change while this runs, and every vocabulary that is loaded looks among them."""
    return tuple(sorted(path.stem for path in DATA.glob("*.txt")))


def parse_classes(lines: Sequence[str], source: str, *, numbered: bool = True) -> Vocabulary:
    """Build a vocabulary from lines: one class a line, synonyms separated (see the top of this file).

    Args:
        lines: text lines; empty ones are skipped.
        source: named in error messages.
        numbered: they are lines of a file, and named so in messages; else entries of a list.

    Raises:
        ValueError: no class, an empty synonym, a word that cannot be read, lines with numbers or quotes beside the
            words, or an unknown value of a comment that says something.
    """
    headers = _headers(lines, source)
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not is_comment(line)]
    places = [f"line {number} of {source}" if numbered else f"entry {number} of the {source}" for number, _ in rows]
    for place, (_, row) in zip(places, rows, strict=True):
        check_text(row, place)
    check_marks([row for _, row in rows], source, split="synonyms" in headers)
    default = "semicolon" if any(";" in row for _, row in rows) else "comma"
    separator = SEPARATORS[headers.get("synonyms", default)]
    split = [row.split(separator) if separator else [row] for _, row in rows]
    count = sum(map(len, split))
    if count > _MOST_WORDS:
        raise ValueError(f"The vocabulary {source} has {count} words; {_MOST_WORDS} are the most that a list may have.")
    classes = tuple(
        tuple(tidy(query, place) for query in queries) for place, queries in zip(places, split, strict=True)
    )
    background = BACKGROUNDS[headers["background"]] if "background" in headers else None
    return Vocabulary(classes, source, headers.get("version"), background, tuple(places))


def load_vocabulary(name: str | Path | Sequence[str], background: str | Sequence[str] | None = None) -> Vocabulary:
    """Load a bundled class list by name, or any text file with one class a line.

    Args:
        name: one of :func:`available_vocabularies`, a path (with suffix or separator), or the lines.
        background: words put in front as class 0: a bundled list (:func:`available_backgrounds`; ``sclip``: 26 words,
            ``proxyclip``: its 17 for COCO-Object), a file, or the words themselves. ``None`` when the list has its
            background already, or none.

    Returns:
        The vocabulary.

    Raises:
        ValueError: unknown name (near matches are offered), an empty list, what is no text, a word that stands twice,
            or background words for a list that has its background.
        FileNotFoundError: a path that does not exist.
    """
    if isinstance(name, str | Path):
        listed = _load(str(name))
    else:
        listed = _parse(_texts(name, "model.decode_head.vocabulary"), _GIVEN, numbered=False)
    if background is not None:
        listed = _put_in_front(listed, background)
    if not listed.duplicates:
        _check_duplicates(listed.vocabulary)
    return listed.vocabulary


@dataclass(frozen=True)
class _List:
    """A vocabulary, and whether a word may stand twice in it."""

    vocabulary: Vocabulary
    duplicates: bool


def _texts(entries: object, what: str) -> Sequence[str]:
    """A list of texts; of anything else it is said what it is."""
    if isinstance(entries, bytes | bytearray) or not isinstance(entries, Sequence):
        raise ValueError(f"{what} must be the name of a list, a file or a list of words, but got {entries!r}.")
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, str):
            raise ValueError(
                f"{what} must hold one text per class, as in ['1', 'cat, kitten'], but its entry {number} is {entry!r}."
            )
    return entries


def _check_separators(lines: Sequence[str]) -> None:
    """Refuse semicolons in the texts of a list: they separate classes in ``--classes``, but synonyms in files."""
    if _rows(lines) in _bundled_headers() or "synonyms" in _headers(lines, "given list"):
        return
    row = next((line for line in lines if ";" in line and not is_comment(line)), None)
    if row is not None:
        raise ValueError(
            f'The text {quoted(row)} of the given list holds ";": give each class a text of its own, and separate'
            " synonyms by commas."
        )


def _parse(lines: Sequence[str], source: str, *, numbered: bool = True) -> _List:
    if not numbered:
        _check_separators(lines)
    vocabulary = parse_classes(lines, source, numbered=numbered)
    return _List(vocabulary, _headers(lines, source).get("duplicates") == ALLOWED)


def _headers(lines: Sequence[str], source: str) -> dict[str, str]:
    """What comments say; of the very lines of a bundled list, what its own say too."""
    return {**_bundled_headers().get(_rows(lines), {}), **read_headers(lines, source)}


@cache
def _bundled_headers() -> dict[tuple[str, ...], dict[str, str]]:
    """Lines of each bundled list -> what its comments say of how they are read."""
    found = {}
    for name in available_vocabularies():
        lines = read_lines(DATA / f"{name}.txt", "vocabulary")
        said = {"background": "none", **read_headers(lines, name)}
        found[_rows(lines)] = {key: value for key, value in said.items() if key in _READING}
    found.pop((), None)  # of second names for other lists
    return found


def _rows(lines: Sequence[str]) -> tuple[str, ...]:
    """The lines that are classes, however they are spaced."""
    rows = (" ".join(line.split()) for line in lines if not is_comment(line))
    return tuple(row for row in rows if row)


def _load(name: str) -> _List:
    return _load_bundled(name) if name in available_vocabularies() else _load_lines(name)


@cache
def _load_bundled(name: str) -> _List:
    found = _load_lines(name)
    vocabulary = replace(found.vocabulary, background=bool(found.vocabulary.background))
    return _List(vocabulary, found.duplicates)


def _load_lines(name: str) -> _List:
    names = available_vocabularies()
    lines = _read(name, names, "vocabulary", "")
    original = read_headers(lines, name).get("same as")
    if original is None:
        return _parse(lines, name)
    if original in names:
        found = _load_bundled(original)
    else:
        found = _parse(_read(original, names, f"vocabulary (named in {name})", ""), original)
    return replace(found, vocabulary=replace(found.vocabulary, source=name))


def _put_in_front(listed: _List, background: str | Sequence[str]) -> _List:
    """Background words as class 0."""
    vocabulary, name = listed.vocabulary, None
    if vocabulary.background:
        raise ValueError(
            f"The vocabulary {vocabulary.source} has its background already, as class 0: leave"
            " model.decode_head.background=None, or name a list without a background."
        )
    if isinstance(background, str | Path):
        name = str(background)
        lines: Sequence[str] = _read(name, available_backgrounds(), "background word list", _BACKGROUND_PREFIX)
    else:
        lines = _texts(background, "model.decode_head.background")
    vocabulary = replace(
        vocabulary,
        classes=(_words(lines, name or "the background words"), *vocabulary.classes),
        source=f"{vocabulary.source} with background{f' {name}' if name else ''}",
        background=True,
        places=("the background words", *vocabulary.places),
    )
    allowed = read_headers(lines, name or "background").get("duplicates") == ALLOWED
    return _List(vocabulary, listed.duplicates or allowed)


def _words(lines: Sequence[str], source: str) -> tuple[str, ...]:
    """Words of one class, on any number of lines, separated by commas or semicolons."""
    check_marks([line for line in lines if line.strip() and not is_comment(line)], source)
    words = []
    for number, line in enumerate(lines, 1):
        if not is_comment(line):
            place = f"line {number} of {source}"
            check_text(line, place)
            words += [tidy(word, place) for word in line.replace(";", ",").split(",")]
    return tuple(word for word in words if word)


def _check_duplicates(vocabulary: Vocabulary) -> None:
    """Refuse a word that stands twice; the bundled lists that have such words may also be named as files."""
    seen: dict[tuple[str, ...], int] = {}
    for query, number in zip(vocabulary.queries, vocabulary.query_class, strict=True):
        pieces = spoken(query)
        if pieces in seen and not _is_authors_own(vocabulary.classes):
            here, there = vocabulary.place(seen[pieces]), vocabulary.place(number)
            where = f"within {here}" if here == there else f"{here} and {there}"
            own = vocabulary.source.startswith("given list")
            place = "put the list into a file with" if own else "write into the list"
            raise ValueError(
                f"The word {quoted(query)} occurs twice ({where}), and CLIP cannot tell the two apart: remove one, or"
                f" {place} the line '# duplicates: allowed' if its authors mean it so."
            )
        seen[pieces] = number


def _is_authors_own(classes: tuple[tuple[str, ...], ...]) -> bool:
    bundled = (_load_bundled(name) for name in available_vocabularies())
    return any(found.duplicates and found.vocabulary.classes == classes for found in bundled)


def _read(name: str, known: list[str], kind: str, prefix: str) -> list[str]:
    if name in known:
        return read_lines(DATA / f"{prefix}{name}.txt", kind)
    try:
        path = Path(name).expanduser()
        found = path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long for a path, or of no user
        raise ValueError(f"{name[:60]!r} is neither the name of a {kind} nor of a file.{_as_list(name)}") from None
    if found:
        return read_lines(path, kind)
    if path.suffix or len(path.parts) > 1:
        raise FileNotFoundError(f"The {kind} file {path} does not exist. Bundled names: {', '.join(known)}.")
    close = difflib.get_close_matches(name, known, n=3)
    hint = f" Did you mean {' or '.join(close)}?" if close else _as_list(name, one=prefix != "")
    raise ValueError(f"Unknown {kind} {name!r}.{hint} Bundled names: {', '.join(known)}.")


def _as_list(name: str, *, one: bool = False) -> str:
    """What to write, if the name is meant to be words; one word may be meant to be the background."""
    words = [word.strip() for word in name.replace(";", ",").split(",")]
    return f" Words are given as a list: {words[:3]!r}." if one or len(words) > 1 else ""
