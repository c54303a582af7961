"""Class lists: which words (queries) stand for which class."""

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parent / "data"
_BACKGROUND_PREFIX = "background_"


@dataclass(frozen=True)
class Vocabulary:
    """An ordered list of classes, each with one or more queries (synonyms).

    Attributes:
        classes: one tuple of queries per class; the index is the class id.
        source: where it came from (a bundled name or a file), for messages.

    Raises:
        ValueError: no class, or a class without words.
    """

    classes: tuple[tuple[str, ...], ...]
    source: str = "given list"

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


def parse_classes(lines: Sequence[str], source: str) -> Vocabulary:
    """Build a vocabulary from lines: one class a line, synonyms separated by commas; empty lines are skipped.

    Args:
        lines: text lines.
        source: named in error messages.
    """
    return Vocabulary(
        tuple(tuple(query.strip() for query in line.split(",")) for line in lines if line.strip()),
        source,
    )


def load_vocabulary(name: str | Path | Sequence[str], background: str | Sequence[str] | None = None) -> Vocabulary:
    """Load a bundled class list by name, or any text file with one class a line.

    Args:
        name: one of :func:`available_vocabularies`, a path (with suffix or separator), or the lines.
        background: words put in front as class 0: a bundled list (``sclip``: 26 words; ``proxyclip``: its 17 for
            COCO-Object), a file, or the words themselves. ``None`` when the list has its background already, or none.

    Returns:
        The vocabulary.

    Raises:
        ValueError: unknown name (near matches are offered), or an empty list.
        FileNotFoundError: a path that does not exist.
    """
    if isinstance(name, str | Path):
        lines = _read(str(name), available_vocabularies(), "vocabulary", "").splitlines()
        vocabulary = parse_classes(lines, str(name))
    else:
        vocabulary = parse_classes(name, "given list")
    if background is None:
        return vocabulary
    if isinstance(background, str):
        known = [path.stem.removeprefix(_BACKGROUND_PREFIX) for path in DATA.glob(f"{_BACKGROUND_PREFIX}*.txt")]
        words = _read(background, sorted(known), "background word list", _BACKGROUND_PREFIX)
        background = [word.strip() for word in words.replace("\n", ",").split(",") if word.strip()]
    return Vocabulary((tuple(background), *vocabulary.classes), f"{vocabulary.source} with background")


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
