"""The leaderboard as LaTeX."""

import string
from collections.abc import Iterable
from itertools import pairwise

from mmseg_tfovss.leaderboard.board import Board, Cell, Section
from mmseg_tfovss.leaderboard.text import (
    beside,
    cells_of,
    line_names,
    name_columns,
    numbered,
    refused,
)
from mmseg_tfovss.plain import one_line

# Signs that LaTeX's first fonts (OT1) have as they are, or build from a letter and an accent; "[" and the rest of
# ASCII are below, and everything else is named by its code point.
_PLAIN = frozenset(
    f"{string.ascii_letters}{string.digits} .,:;!?/()=+*'@]-ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿ"
)
_JOINED = "-'"  # two of them become one other sign
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after the end of a row it would begin an optional argument
    '"': r"{\char34}",
    "`": r"\textasciigrave{}",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
    "–": "--",
    "—": "---",
    "’": "'",
    "×": r"\ensuremath{\times}",
    "±": r"\ensuremath{\pm}",
    "·": r"\ensuremath{\cdot}",
    **{sign: f"\\{sign}" for sign in "{}$&#_%"},
}
# The file is a document of its own, and can be read into one with \input: then LaTeX's \@nodocument is \relax.
_LATEX_HEAD = r"""\expandafter\ifx\csname @nodocument\endcsname\relax
  \let\leaderboardend\relax  % read by \input: the document loads booktabs
\else
  \def\leaderboardend{\end{document}}
  \documentclass{article}
  \usepackage{booktabs}
  \usepackage[paperwidth=120cm,paperheight=90cm,margin=1cm]{geometry}
  \begin{document}
\fi
"""


def to_latex(board: Board) -> str:
    r"""A booktabs table per protocol, and the rest as comments.

    The file compiles by itself, and can be read into a document with ``\input``.
    """
    parts = [f"% {one_line(note)}" for note in board.notes]
    parts += [f"% Does not count: {one_line(f'{path} {reason}')}" for path, reason in refused(board)]
    parts.append(_LATEX_HEAD + "\n\n\\bigskip\n".join(_latex_table(section) for section in board.sections))
    return "\n".join([*parts, r"\leaderboardend", ""])


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is; what its fonts lack is named by its code point."""
    signs = (
        ("{}" if before == sign and sign in _JOINED else "")
        + (sign if sign in _PLAIN else _LATEX.get(sign, f"{{[}}U+{ord(sign):04X}]"))
        for before, sign in pairwise(f" {one_line(text)}")
    )
    return "".join(signs)


def _latex_table(section: Section) -> str:
    names = name_columns(section)
    rows = [
        [*map(escape_latex, line_names(section, line)), *cells_of(section, line, _latex_cell)] for line in section.lines
    ]
    head = _row(map(escape_latex, (*names, *section.columns)))
    body = "\n".join([r"\toprule", head, r"\midrule", *map(_row, rows), r"\bottomrule"])
    columns = "l" * len(names) + "r" * len(section.columns)
    sources = [f"\n\n{{\\scriptsize {escape_latex(source)}\\par}}" for source in numbered(section)]
    table = f"% {section.title}\n\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}"
    return f"{table}{''.join(sources)}\n"


def _row(cells: Iterable[str]) -> str:
    r"""A row that no sign at its start can join to the end of the one before: ``\\`` reads ``[`` and ``*``."""
    return "{}" + " & ".join(cells) + r" \\"


def _latex_cell(cell: Cell) -> str:
    value = {"": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}[cell.mark].format(cell.text)
    return f"{value} {{\\scriptsize ({escape_latex(beside(cell))})}}" if cell.published else value
