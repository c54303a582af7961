"""What a class file must be, before masks are read: no line lost unseen, and no word too long for CLIP."""

from collections.abc import Sequence
from pathlib import Path

from mmseg_tfovss.vocabulary import Vocabulary, load_templates
from mmseg_tfovss.vocabulary.comments import is_comment
from mmseg_tfovss.vocabulary.lengths import PublishedClip, check_lengths
from mmseg_tfovss.vocabulary.words import listed, read_lines

_TEMPLATES = "imagenet80"  # of the unified protocol


def check_lines(path: Path) -> None:
    """Refuse a blank line above a class, which would shift the labels of all classes below it.

    Blank lines after the last class do not matter, and neither do those of a head that begins with comments.

    Raises:
        ValueError: the first such line is named.
    """
    lines = read_lines(path, "class")
    classes = [number for number, line in enumerate(lines) if line.strip() and not is_comment(line)]
    if not classes:
        return
    start = classes[0] if any(map(is_comment, lines[: classes[0]])) else 0
    blank = next((number for number in range(start, classes[-1]) if not lines[number].strip()), None)
    if blank is not None:
        raise ValueError(
            f"Line {blank + 1} of {path} is blank, but lines with classes follow, and each line is the next label:"
            " delete the blank line, or write the class of that label there."
        )


def check_count(classes: Sequence[Sequence[str]], file: str) -> None:
    """Refuse a file whose classes all stand in one line, as synonyms.

    Raises:
        ValueError: it has one class of several words.
    """
    if len(classes) == 1 and len(classes[0]) > 1:
        raise ValueError(
            f"{file} has 1 class of {len(classes[0])} words ({listed(classes[0])}): write one class a line. Words in"
            " one line are synonyms."
        )


def check_words(vocabulary: Vocabulary) -> None:
    """Refuse words that a run would refuse once CLIP is loaded.

    Raises:
        ValueError: a word is too long; see :func:`mmseg_tfovss.vocabulary.lengths.check_lengths`.
    """
    check_lengths(vocabulary, load_templates(_TEMPLATES), PublishedClip())
