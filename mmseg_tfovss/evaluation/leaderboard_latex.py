"""The leaderboard as LaTeX."""

from mmseg_tfovss.evaluation.leaderboard_board import Board, Cell, Section
from mmseg_tfovss.evaluation.leaderboard_text import (
    TITLES,
    beside,
    cells_of,
    line_names,
    name_columns,
    one_line,
    refused,
)

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
    "–": "--",
    "—": "---",
    "’": "'",
    **{sign: f"\\{sign}" for sign in "{}$&#_%"},
}
_LATIN_1 = 0x100
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
        _LATEX.get(sign, sign if ord(sign) < _LATIN_1 and sign.isprintable() else f"[U+{ord(sign):04X}]")
        for sign in one_line(text)
    )
    return "".join(signs)


def _latex_table(section: Section) -> str:
    names = name_columns(section)
    header = " & ".join(escape_latex(title) for title in (*names, *section.columns))
    rows = [
        " & ".join([*map(escape_latex, line_names(section, line)), *cells_of(section, line, _latex_cell)])
        for line in section.lines
    ]
    body = "\n".join([r"\toprule", header + r" \\", r"\midrule", *(row + r" \\" for row in rows), r"\bottomrule"])
    columns = "l" * len(names) + "r" * len(section.columns)
    return f"% {TITLES[section.name]}\n\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}\n"


def _latex_cell(cell: Cell) -> str:
    value = {"": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}[cell.mark].format(cell.text)
    value = f"({value})" if cell.partial else value
    return f"{value} {{\\scriptsize ({escape_latex(beside(cell))})}}" if cell.published else value
