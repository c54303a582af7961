"""Comments of a class list that say something: ``# name: value`` (which ones: :mod:`.classes`)."""

import difflib
from collections.abc import Sequence

from mmseg_tfovss.vocabulary.words import check_text

SEPARATORS = {"comma": ",", "semicolon": ";", "none": None}
BACKGROUNDS = {"class 0": True, "none": False}
ALLOWED = "allowed"  # duplicates
_VALUES = {"synonyms": (*SEPARATORS,), "background": (*BACKGROUNDS,), "duplicates": (ALLOWED,)}
_ACTING = (*_VALUES, "same as")
_NAMES = (*_ACTING, "version", "source")
_ALIKE = 0.85  # a comment's first words and the name of one that acts


def is_comment(line: str) -> bool:
    """Whether a line is no class."""
    return line.lstrip().startswith("#")


def read_headers(lines: Sequence[str], source: str) -> dict[str, str]:
    """What comments say, by name.

    Args:
        lines: of a class list.
        source: named in error messages.

    Raises:
        ValueError: an unknown value, or a name that is nearly one of those that act, for a slip is no comment.
    """
    headers = {}
    for number, line in enumerate(lines, 1):
        text, colon, value = line.lstrip().removeprefix("#").partition(":")
        name = text.strip().lower()
        if not (is_comment(line) and colon):
            continue
        if name in _NAMES:
            check_text(line, f"line {number} of {source}")
            headers[name] = value.strip()
        elif close := difflib.get_close_matches(name, _ACTING, n=1, cutoff=_ALIKE):
            raise ValueError(
                f"Line {number} of {source} says '# {name}: ...', which is no setting of a list: write '# {close[0]}:"
                " ...', or leave out the colon."
            )
    for name, valid in _VALUES.items():
        if name in headers and headers[name] not in valid:
            raise ValueError(f"The vocabulary {source} says '# {name}: {headers[name]}'; valid: {', '.join(valid)}.")
    return headers
