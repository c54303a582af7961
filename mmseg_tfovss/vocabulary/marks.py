"""Marks that other programs put beside words: numbers, columns and quotes, which CLIP would read as words."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import regex

from mmseg_tfovss.vocabulary.words import quoted

_LONGEST = 1000  # characters of a line that is looked at: a longer one is a text, and would cost time
_FEWEST = 3  # lines with a mark that are no accident
_BRACKETS = regex.compile(r"[\[\](){},;\s]*")  # lines of a list in Python or JSON that hold no word
_QUOTED = regex.compile(r"(?:u|b)?([\"'`“”„‘’‚«»])\s*[^\s].*[\"'`“”‘’«»]\s*[,;]?")
_BULLET = regex.compile(r"[-*•–]\s+\S.*")
_NUMBER = r"[+-]?\d+(?:[.,]\d+)?(?:e[+-]?\d+)?%?"
_COLUMN = regex.compile(_NUMBER, regex.IGNORECASE)
# A sign after the number, and no further digit: "1: wall", "(1) wall", "1.wall", but not "1.5 litre bottle".
_SIGNED = regex.compile(r"[(\[#]?(\d+)\s*[:.)\]|=>-]+\s*(?=[^\s\d.])(.*)")
_PADDED = regex.compile(r"(0\d+)\s+(?=\D)(.*)")
_SPACED = regex.compile(r"(\d+)\s+(?=\D)(.*)")
_LISTED = regex.compile(r"(\d+)\s*[,;]\s*(?=[^\s\d])(.*)")
_TRAILING = regex.compile(r"(.*\D)\s*[:=|]\s*\d+")


def check_marks(rows: Sequence[str], source: str, *, split: bool = False) -> None:
    """Refuse a list whose lines hold something beside words, as tables and lists of other programs do.

    One such line is a word like any other (``7 seater car``); a mark in nearly every line is not.

    Args:
        rows: the lines of a class list, without its comments.
        source: named in messages.
        split: the list itself says how its lines are split, so that a number between commas is a word, and so is one
            before a blank.

    Raises:
        ValueError: nearly every line begins with a number that runs, has a column of numbers, is in quotes, or begins
            with a bullet.
    """
    rows = [row.strip() for row in rows]
    rows = [row for row in rows if len(row) <= _LONGEST and not _BRACKETS.fullmatch(row)]
    for is_marked, what, remedy in (
        (_has_columns, "has columns of numbers between tabulators", "keep the column of the words alone"),
        (_is_numbered, "begins with a running number", "strip the numbers"),
        (_ends_in_numbers, "ends in a number after a sign", "strip the numbers"),
        (_is_quoted, "is in quotes", "strip the quotes"),
        (_has_bullets, "begins with a bullet", "strip the bullets"),
    ):
        if is_marked(rows):
            raise ValueError(_message(rows, source, what, remedy))
    if split:
        return
    way_out = ", or, if they are words, write a line such as '# synonyms: comma' into the list"
    for is_marked, what in (
        (_is_counted, "begins with a running number"),
        (_has_listed_columns, "has a column of numbers between commas or semicolons"),
    ):
        if is_marked(rows):
            raise ValueError(_message(rows, source, what, f"strip the numbers{way_out}"))


def _message(rows: Sequence[str], source: str, what: str, remedy: str) -> str:
    example = next((row for row in rows if any(letter.isdigit() for letter in row)), rows[0])
    return (
        f"Nearly every line of {source} {what} (as in {quoted(' '.join(example.split()))}), which CLIP would read as a"
        f" part of the words: {remedy}."
    )


def _nearly_all(marked: int, rows: Sequence[str]) -> bool:
    """One odd line, such as a header, or one of ten does not count."""
    return marked >= _FEWEST and len(rows) - marked <= max(1, len(rows) // 10)


def _is_numbered(rows: Sequence[str]) -> bool:
    return _runs(rows, _SIGNED, lambda step: step > 0) or _runs(rows, _PADDED, lambda step: step > 0)


def _is_counted(rows: Sequence[str]) -> bool:
    return _runs(rows, _SPACED, lambda step: step == 1) or _runs(rows, _LISTED, lambda step: step > 0)


def _runs(rows: Sequence[str], pattern: "regex.Pattern[str]", follows: Callable[[int], bool]) -> bool:
    """Whether numbers before different words run; ``1 apple``, ``2 apples`` ... count the same thing."""
    matches = [match for match in map(pattern.fullmatch, rows) if match]
    numbers = [int(match[1][:9]) for match in matches]
    steps = [follows(after - before) for before, after in pairwise(numbers)]
    things = {match[2].casefold().rstrip("s") for match in matches}
    return _nearly_all(len(matches), rows) and 2 * len(things) > len(matches) and sum(steps) >= 0.9 * len(steps)


def _ends_in_numbers(rows: Sequence[str]) -> bool:
    return _nearly_all(sum(_TRAILING.fullmatch(row) is not None for row in rows), rows)


def _is_quoted(rows: Sequence[str]) -> bool:
    return _nearly_all(sum(_QUOTED.fullmatch(row) is not None for row in rows), rows)


def _has_bullets(rows: Sequence[str]) -> bool:
    return _nearly_all(sum(_BULLET.fullmatch(row) is not None for row in rows), rows)


def _has_columns(rows: Sequence[str]) -> bool:
    return _has_numbers(rows, "\t")


def _has_listed_columns(rows: Sequence[str]) -> bool:
    return _has_numbers(rows, ",") or _has_numbers(rows, ";")


def _has_numbers(rows: Sequence[str], separator: str) -> bool:
    """Whether nearly every line has a number in the same column beside another one."""
    columns: dict[int, int] = {}
    for row in rows:
        cells = [cell.strip() for cell in row.split(separator)]
        for number in (number for number, cell in enumerate(cells) if len(cells) > 1 and _COLUMN.fullmatch(cell)):
            for place in {number, number - len(cells)}:  # from the left, and from the right
                columns[place] = columns.get(place, 0) + 1
    return any(_nearly_all(count, rows) for count in columns.values())
