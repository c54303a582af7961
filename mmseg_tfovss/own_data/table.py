"""Class files: a list of words, or a table that also says which colour or label a class has in the masks."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmseg_tfovss.own_data.word_file import check_count, check_lines, check_words
from mmseg_tfovss.vocabulary import Vocabulary, available_vocabularies, load_vocabulary
from mmseg_tfovss.vocabulary.agreement import is_background
from mmseg_tfovss.vocabulary.words import read_lines

_RED_GREEN_BLUE = (("r", "g", "b"), ("red", "green", "blue"))
_LABELS = ("label", "id", "index", "value")
_NAMES = ("name", "class", "class_name", "classname", "category")
_NUMBERS = r"(?P<red>\d+)[\s,;]+(?P<green>\d+)[\s,;]+(?P<blue>\d+)"
_COLOUR_FIRST = re.compile(rf"\s*{_NUMBERS}[\s,;]+(?P<name>\S.*?)\s*")
_COLOUR_LAST = re.compile(rf"\s*(?P<name>\S.*?)[\s,;]+{_NUMBERS}\s*")
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # TrafficCone, SUVPickup
LARGEST_LABEL = 65535


@dataclass(frozen=True)
class ClassTable:
    """The classes of a dataset, and what its masks hold for them.

    Attributes:
        names: one per class, as results show it.
        queries: what CLIP reads: one tuple of synonyms per class.
        values: what masks hold for each class: its label, or its colour as ``colour_code`` has it.
        coloured: whether the values are colours.
        background: whether class 0 is everything else.
        ignored: further values: pixels that do not count.
    """

    names: tuple[str, ...]
    queries: tuple[tuple[str, ...], ...]
    values: tuple[int, ...]
    coloured: bool
    background: bool
    ignored: tuple[int, ...] = ()

    @property
    def void(self) -> int:
        """The label of ignored pixels in masks that are made anew."""
        return 255 if len(self.names) <= 255 else LARGEST_LABEL

    @property
    def is_plain(self) -> bool:
        """Whether masks can be used as they are: class numbers from 0 on, and one ignored label at most."""
        return not self.coloured and self.values == tuple(range(len(self.values))) and len(self.ignored) <= 1

    @property
    def palette(self) -> list[list[int]] | None:
        """The classes' colours, where the file says them."""
        return [list(colour_of(value)) for value in self.values] if self.coloured else None

    def told(self, value: int) -> str:
        """A value of a mask for messages: ``11``, or ``0,128,192``."""
        return ",".join(map(str, colour_of(value))) if self.coloured else str(value)


def colour_code(red: int, green: int, blue: int) -> int:
    """A colour as one number."""
    return red << 16 | green << 8 | blue


def colour_of(code: int) -> tuple[int, int, int]:
    """The colour of :func:`colour_code`."""
    return code >> 16, code >> 8 & 255, code & 255


def read_table(file: str, first_label: int | None = None) -> ClassTable:
    """Read a class file.

    Args:
        file: words, one class a line, synonyms separated by ", " (or the name of a bundled list); or a table with a
            header, ``name,r,g,b`` or ``name,label``; or lines such as ``64 128 64 Animal``.
        first_label: label of the first class; None: 0, or what the table says.

    Raises:
        FileNotFoundError: no such file.
        ValueError: what is wrong, and in which line.
    """
    path = Path(file).expanduser()
    bundled = file in available_vocabularies()
    if not (bundled or path.is_file()):
        raise FileNotFoundError(f"The class file {file} {'is a folder' if path.is_dir() else 'does not exist'}.")
    rows = [] if bundled else _read_rows(path)
    if rows:
        if first_label is not None:
            raise ValueError(f"--first-label does not act, for {file} says what masks hold for each class: leave it.")
        return _table_of(rows, path)
    if not bundled:
        check_lines(path)
    vocabulary = load_vocabulary(file if bundled else str(path.absolute()))
    check_count(vocabulary.classes, file)
    check_words(vocabulary)
    names = vocabulary.shown_names
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise ValueError(f"Two classes of {file} begin with {twice!r}, which is their name in results: change one.")
    background = is_background(names[0]) if vocabulary.background is None else vocabulary.background
    start = first_label or 0
    values = tuple(range(start, start + len(names)))
    return ClassTable(names, vocabulary.classes, values, False, background)


def entries_of(queries: Sequence[Sequence[str]]) -> list[str]:
    """Texts that :func:`~mmseg_tfovss.vocabulary.load_vocabulary` reads as these queries: one per class.

    Comments stand first where they are needed.
    """
    words = [word for own in queries for word in own]
    comma, semicolon = (any(sign in word for word in words) for sign in ",;")
    if comma and semicolon:
        entries, comments = [word for (word,) in queries], ["# synonyms: none"]
    elif comma:
        entries, comments = ["; ".join(own) for own in queries], ["# synonyms: semicolon"]
    else:
        entries, comments = [", ".join(own) for own in queries], ["# synonyms: comma"] if semicolon else []
    if len(set(words)) < len(words):
        comments.append("# duplicates: allowed")
    return [*comments, *entries]


@dataclass(frozen=True)
class _Row:
    """A line of a table: a class, its colour or label, and where it stands."""

    name: str
    value: int
    coloured: bool
    place: str


def _read_rows(path: Path) -> list[_Row]:
    """The rows of a table; none if the file is a list of words."""
    lines = read_lines(path, "class")
    numbered = [(f"line {n} of {path}", line) for n, line in enumerate(lines, 1) if line.strip()]
    numbered = [(place, line) for place, line in numbered if not line.lstrip().startswith("#")]
    if not numbered:
        return []
    header = [cell.lower() for cell in _cells(numbered[0][1])]
    if any({*names} <= {*header} for names in _RED_GREEN_BLUE) or ({*_LABELS} & {*header} and {*_NAMES} & {*header}):
        if len(numbered) == 1:
            raise ValueError(f"The class file {path} has a header, but no class.")
        return [_row(header, _cells(line), place) for place, line in numbered[1:]]
    matches = [(place, _COLOUR_FIRST.fullmatch(line) or _COLOUR_LAST.fullmatch(line)) for place, line in numbered]
    missing = [place for place, match in matches if not match]
    if 2 * len(missing) > len(matches):
        return []
    if missing:
        raise ValueError(f"The class in {missing[0]} must have a name and a colour (red, green, blue), as others do.")
    return [_coloured(found["name"], found.group("red", "green", "blue"), place) for place, found in matches if found]


def _cells(line: str) -> list[str]:
    separator = next((sign for sign in "\t,;" if sign in line), ",")
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]


def _row(header: Sequence[str], cells: Sequence[str], place: str) -> _Row:
    if len(cells) != len(header):
        raise ValueError(
            f"The class file has {len(cells)} columns in {place}, but its header has {len(header)}"
            f" ({', '.join(header)}): put names with commas in double quotes."
        )
    found = dict(zip(header, cells, strict=True))
    colours = next((names for names in _RED_GREEN_BLUE if {*names} <= {*header}), None)
    if colours:
        name = next((found[key] for key in (*_NAMES, *header) if key in found and key not in colours), "")
        return _coloured(name, [found[key] for key in colours], place)
    label = next(name for name in _LABELS if name in header)
    name = next(found[key] for key in _NAMES if key in header)
    if not found[label].isdigit() or int(found[label]) > LARGEST_LABEL:
        raise ValueError(f"The {label} in {place} must be a label, 0 .. {LARGEST_LABEL}, but is {found[label]!r}.")
    return _Row(name, int(found[label]), False, place)


def _coloured(name: str, texts: Sequence[str], place: str) -> _Row:
    numbers = [int(text) for text in texts if text.isdigit()]
    if len(numbers) != 3 or max(numbers) > 255:
        raise ValueError(f"The colour in {place} must be three numbers, 0 .. 255, but is {', '.join(texts)}.")
    return _Row(name, colour_code(*numbers), True, place)


def _table_of(rows: Sequence[_Row], path: Path) -> ClassTable:
    for number, row in enumerate(rows):
        if not row.name:
            raise ValueError(f"The class in {row.place} has no name.")
        for earlier in rows[:number]:
            if _first_name(row).casefold() == _first_name(earlier).casefold():
                raise ValueError(f"The class {row.name!r} stands in {earlier.place} and in {row.place}: delete one.")
            if row.value == earlier.value:
                what = "colour" if row.coloured else "label"
                raise ValueError(f"{earlier.name!r} and {row.name!r} have one {what} in {path}: give each its own.")
    queries = tuple(tuple(spoken(part) for part in row.name.split(",")) for row in rows)
    load_vocabulary([", ".join(own) for own in queries])  # refuses words that CLIP cannot tell apart
    check_words(Vocabulary(queries, str(path), places=tuple(row.place for row in rows)))
    names = tuple(map(_first_name, rows))
    values = tuple(row.value for row in rows)
    return ClassTable(names, queries, values, rows[0].coloured, is_background(names[0]))


def _first_name(row: _Row) -> str:
    return row.name.partition(",")[0].strip()


def spoken(name: str) -> str:
    """An identifier in words: ``Truck_Bus`` is "Truck Bus", ``TrafficCone`` is "Traffic Cone"."""
    return " ".join(_WORDS.sub(" ", name.replace("_", " ")).split())
