"""Class lists: which words (queries) stand for which class.

A list is a text file, one class a line. Lines that start with ``#`` are comments; some of them say something:

    # version: 1            of the list; goes into every result
    # source: ...           where the words come from
    # synonyms: none        how a line is split: comma | semicolon | none (the whole line is one query)
    # same as: voc21        this list is another one under a second name

Without ``synonyms`` a file that holds a semicolon anywhere is split at semicolons, any other at commas; blanks around
words do not count. (SCLIP's files use ", ", ClearCLIP's ",", ProxyCLIP's "; ": all can be used as they are.)
"""

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

DATA = Path(__file__).parent / "data"
_BACKGROUND_PREFIX = "background_"
_SEPARATORS = {"comma": ",", "semicolon": ";", "none": None}
_HEADERS = ("version", "source", "synonyms", "same as")


@dataclass(frozen=True)
class Vocabulary:
    """An ordered list of classes, each with one or more queries (synonyms).

    Attributes:
        classes: one tuple of queries per class; the index is the class id.
        source: where it came from (a bundled name or a file), for messages and results.
        version: of a bundled list; None when the list does not say.

    Raises:
        ValueError: no class, or a class without words.
    """

    classes: tuple[tuple[str, ...], ...]
    source: str = "given list"
    version: str | None = None

    def __post_init__(self) -> None:
        if not self.classes:
            raise ValueError(f"The vocabulary {self.source} is empty: name at least one class, one a line.")
        for number, queries in enumerate(self.classes):
            if not queries or not all(queries):
                raise ValueError(
                    f"Class {number} of the vocabulary {self.source} has an empty query: give every class at least"
                    ' one word, synonyms separated by ", ".'
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
        """One display name per class: its first query."""
        return tuple(queries[0] for queries in self.classes)

    @property
    def hash(self) -> str:
        """sha256 of the classes and their queries, in order."""
        return hashlib.sha256(json.dumps(self.classes).encode()).hexdigest()


def available_vocabularies() -> list[str]:
    """Names of the bundled class lists."""
    return sorted(path.stem for path in DATA.glob("*.txt") if not path.stem.startswith(_BACKGROUND_PREFIX))


def available_backgrounds() -> list[str]:
    """Names of the bundled lists of background words."""
    return sorted(path.stem.removeprefix(_BACKGROUND_PREFIX) for path in DATA.glob(f"{_BACKGROUND_PREFIX}*.txt"))


def parse_classes(lines: Sequence[str], source: str) -> Vocabulary:
    """Build a vocabulary from lines: one class a line, synonyms separated (see the top of this file).

    Args:
        lines: text lines; empty ones are skipped.
        source: named in error messages.

    Raises:
        ValueError: no class, an empty synonym, or an unknown value of ``# synonyms``.
    """
    headers = _read_headers(lines)
    rows = [line for line in lines if line.strip() and not line.startswith("#")]
    default = "semicolon" if any(";" in row for row in rows) else "comma"
    synonyms = headers.get("synonyms", default)
    if synonyms not in _SEPARATORS:
        raise ValueError(
            f"The vocabulary {source} says '# synonyms: {synonyms}'; valid: {', '.join(_SEPARATORS)} (none: a line is"
            " one query)."
        )
    separator = _SEPARATORS[synonyms]
    classes = [row.split(separator) if separator else [row] for row in rows]
    return Vocabulary(
        tuple(tuple(query.strip() for query in queries) for queries in classes), source, headers.get("version")
    )


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
        ValueError: unknown name (near matches are offered), or an empty list.
        FileNotFoundError: a path that does not exist.
    """
    for words in (name, background):
        if words is not None and not isinstance(words, str | Path | Sequence):
            raise ValueError(f"A vocabulary must be the name of a list, a file or the words, but got {words!r}.")
    vocabulary = _load_file(str(name)) if isinstance(name, str | Path) else parse_classes(name, "given list")
    if background is None:
        return vocabulary
    if isinstance(background, str):
        vocabulary = replace(vocabulary, source=f"{vocabulary.source} with background {background}")
        background = _load_background(background)
    else:
        vocabulary = replace(vocabulary, source=f"{vocabulary.source} with background")
    return replace(vocabulary, classes=(tuple(background), *vocabulary.classes))


def _load_file(name: str) -> Vocabulary:
    names = available_vocabularies()
    lines = _read(name, names, "vocabulary", "").splitlines()
    original = _read_headers(lines).get("same as")
    if original:
        lines = _read(original, names, f"vocabulary (named in {name})", "").splitlines()
    return parse_classes(lines, name)


def _load_background(name: str) -> list[str]:
    text = _read(name, available_backgrounds(), "background word list", _BACKGROUND_PREFIX)
    words = ",".join(line for line in text.splitlines() if not line.startswith("#")).replace(";", ",").split(",")
    return [word.strip() for word in words if word.strip()]


def _read_headers(lines: Sequence[str]) -> dict[str, str]:
    pairs = (line.removeprefix("#").partition(":") for line in lines if line.startswith("#"))
    return {key.strip().lower(): value.strip() for key, _, value in pairs if key.strip().lower() in _HEADERS}


def _read(name: str, known: list[str], kind: str, prefix: str) -> str:
    if name in known:
        return (DATA / f"{prefix}{name}.txt").read_text(encoding="utf-8")
    path = Path(name).expanduser()
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"The {kind} file {path} is not UTF-8 text: {error.reason}.") from error
    if path.suffix or len(path.parts) > 1:
        raise FileNotFoundError(f"The {kind} file {path} does not exist. Bundled names: {', '.join(known)}.")
    close = difflib.get_close_matches(name, known, n=3)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    raise ValueError(f"Unknown {kind} {name!r}.{hint} Bundled names: {', '.join(known)}.")
