"""The words that somebody types into the page, read as ``tfovss demo`` reads them."""

from collections.abc import Iterator, Sequence

from mmseg_tfovss.engine.words import check_classes
from mmseg_tfovss.pocket.classes import CLASSES
from mmseg_tfovss.vocabulary.words import quoted, spoken

MOST_CLASSES = 256  # as many as an indexed PNG can hold


def read_classes(text: str, field: str = "Words") -> list[str]:
    """Classes, one a line or separated by ";", with their synonyms as they stand.

    Args:
        text: what was typed; empty lines do not count.
        field: what it was typed into, for messages.

    Returns:
        One text per class, as :func:`mmseg_tfovss.load` takes them: ``["cat", "dog, puppy"]``.

    Raises:
        ValueError: no class, one without a word, a comment, a word that stands twice, or too many classes.
    """
    classes = [part for line in text.splitlines() if line.strip() for part in _split(line, field)]
    if not classes:
        raise ValueError(f"{field}: type at least one class, for example: cat; dog, puppy; grass.")
    if len(classes) > MOST_CLASSES:
        raise ValueError(f"{field}: {len(classes)} classes are too many for this page: type at most {MOST_CLASSES}.")
    return check_classes(classes, field)


def check_different(classes: Sequence[str]) -> None:
    """Refuse a word that stands twice, for CLIP could not tell the two apart.

    Args:
        classes: one text per class, the background among them.

    Raises:
        ValueError: the first such word is named.
    """
    seen: set[tuple[str, ...]] = set()
    for word in _words(classes):
        key = spoken(word)
        if key in seen:
            raise ValueError(f"The word {quoted(word)} stands twice: remove one of the two.")
        seen.add(key)


def unknown_to_pocket(classes: Sequence[str]) -> list[str]:
    """The words that the pocket CLIP was not trained on."""
    known = {spoken(word) for word in CLASSES}
    return [word for word in _words(classes) if spoken(word) not in known]


def _split(line: str, field: str) -> list[str]:
    """Classes of one line; a last separator closes the last class."""
    parts = [part.strip() for part in line.strip().removesuffix(";").split(";")]
    if not all(parts):
        raise ValueError(f'{field}: the line {quoted(line.strip())} has one ";" too many.')
    return parts


def _words(classes: Sequence[str]) -> Iterator[str]:
    return (" ".join(word.split()) for entry in classes for word in entry.split(",") if word.strip())
