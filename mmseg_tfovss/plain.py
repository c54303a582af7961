"""Text from results as files and terminals can show it: in one line, with nothing in it that acts, hides or reorders.

Names of methods, classes, options and files may hold anything. Each output has its own signs that mean something; what
they share is here, and so are Markdown and comma-separated values, which more than one room writes.
"""

import re

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
# What makes a spreadsheet compute a cell, also in the wide form; a semicolon ends a cell in half of the world.
_FORMULA = re.compile(r"(^|;\s*)(?=[=+\-@＝＋－＠])")
# Underscores only at the ends of words: inside of them they are themselves.
_MARKDOWN = re.compile(r"([\\|*`<>\[\]&~$]|(?<![^\W_])_|_(?![^\W_]))")
# Of a heading, a list or a rule, at the start of a line; not those of a number.
_BLOCK = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=[#+=-](?![\d.])))")
_FIRST_BYTE = 0xDC00  # Python keeps the byte \xff of a path that is no UTF-8 as \udcff


def printable(text: object) -> str:
    r"""Text that every file and terminal can hold, and shows in full.

    Signs that are not printable are named: control signs (``\x1b``), marks without a width or of direction
    (``\u202e``), and bytes that are no UTF-8 (``\xff``).
    """
    plain = str(text)
    return plain if plain.isprintable() else "".join(map(_visible, plain))


def one_line(text: object) -> str:
    """Printable text without line breaks; any white space is one space."""
    return printable(" ".join(str(text).split()))


def escape_markdown(text: object) -> str:
    """Text that is nothing but text in Markdown: in a cell of a table, a paragraph, a heading or an item of a list."""
    return _BLOCK.sub(r"\1\\", _MARKDOWN.sub(r"\\\1", one_line(text)))


def csv_cell(text: object) -> str:
    """Text for a cell of a CSV file that a spreadsheet may open.

    What would begin a formula (``=``, ``+``, ``-``, ``@``, at the start or behind a semicolon) gets an apostrophe
    before it, which says "text" to a spreadsheet. Numbers, negative ones too, stay numbers.
    """
    plain = one_line(text)
    return plain if _NUMBER.fullmatch(plain) else _FORMULA.sub(r"\1'", plain)


def _visible(sign: str) -> str:
    if sign.isprintable():
        return sign
    code = ord(sign) - _FIRST_BYTE
    return f"\\x{code:02x}" if 0x80 <= code <= 0xFF else sign.encode("unicode_escape").decode()
