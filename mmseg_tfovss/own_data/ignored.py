"""``--ignore``: labels, colours and classes whose pixels do not count."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import replace

from mmseg_tfovss.own_data.table import LARGEST_LABEL, ClassTable, colour_code
from mmseg_tfovss.vocabulary.agreement import is_background

_COLOUR = re.compile(r"(\d{1,3}),(\d{1,3}),(\d{1,3})")


def ignore(table: ClassTable, given: Iterable[str]) -> ClassTable:
    """Leave classes out, and take further labels or colours that do not count.

    Args:
        table: of a class file.
        given: of each, a class's name, a label (``11``), or a colour (``0,0,0``).

    Raises:
        ValueError: something that is none of them, or the label or colour of a class.
    """
    for text in dict.fromkeys(given):
        number = _class_of(text, table)
        table = _with_value(table, text) if number is None else leave_out(table, number)
    return table


def leave_out(table: ClassTable, number: int) -> ClassTable:
    """The table without a class, whose pixels are ignored.

    Raises:
        ValueError: no class is left.
    """
    kept = [place for place in range(len(table.names)) if place != number]
    if not kept:
        raise ValueError(f"--ignore {table.names[number]}: no class is left to evaluate.")
    names = tuple(table.names[place] for place in kept)
    return replace(
        table,
        names=names,
        queries=tuple(table.queries[place] for place in kept),
        values=tuple(table.values[place] for place in kept),
        background=table.background if number else is_background(names[0]),
        ignored=(*table.ignored, table.values[number]),
    )


def _class_of(text: str, table: ClassTable) -> int | None:
    """The class of this name; None if it is a label or a colour."""
    if text.isdigit() or _COLOUR.fullmatch(text):
        return None
    names = [name.casefold() for name in table.names]
    if text.casefold() in names:
        return names.index(text.casefold())
    close = difflib.get_close_matches(text.casefold(), names, n=3)
    hint = f" Did you mean {' or '.join(table.names[names.index(name)] for name in close)}?" if close else ""
    kind = "a colour such as 0,0,0" if table.coloured else "a label such as 255"
    raise ValueError(f"--ignore {text} is no class of the class file.{hint} Give a class's name, or {kind}.")


def _with_value(table: ClassTable, text: str) -> ClassTable:
    colour = _COLOUR.fullmatch(text)
    if table.coloured != bool(colour):
        what, right = ("a colour", "labels") if colour else ("a label", "colours")
        raise ValueError(f"--ignore {text} is {what}, but the masks hold {right} by the class file.")
    numbers = [int(number) for number in (colour.groups() if colour else [text])]
    if max(numbers) > (255 if colour else LARGEST_LABEL):
        raise ValueError(f"--ignore {text}: labels are 0 .. {LARGEST_LABEL}, and colours three numbers of 0 .. 255.")
    value = colour_code(*numbers) if colour else numbers[0]
    if value in table.values:
        name = table.names[table.values.index(value)]
        shift = "; if labels begin at 1, add --first-label 1" if text == "0" else ""
        raise ValueError(f"--ignore {text} is the class {name!r}: to leave that out, give its name{shift}.")
    return replace(table, ignored=table.ignored if value in table.ignored else (*table.ignored, value))
