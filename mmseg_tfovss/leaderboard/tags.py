"""What the parts of the leaderboard's page share: escaped text, heads and tables, and rows that the filters find."""

import html
import re
from collections.abc import Sequence
from typing import NamedTuple

from mmseg_tfovss.evaluation.result import Result
from mmseg_tfovss.leaderboard.board import kind_of
from mmseg_tfovss.leaderboard.published import JOIN
from mmseg_tfovss.plain import one_line

NAME, NUMBER, SECONDARY = "name", "number", " secondary"
ON_PHONES, OFF_PHONES = "on-phones", "off-phones"


class Column(NamedTuple):
    """A column of a sortable table.

    Attributes:
        title: in its head.
        kind: class of its cells, :data:`NAME` or :data:`NUMBER`; with :data:`SECONDARY` it is folded on small screens.
        sortable: whether its head is a button.
    """

    title: str
    kind: str
    sortable: bool = True


def escape(value: object) -> str:
    """Text that is nothing but text, also inside an attribute, with nothing in it that hides or reorders."""
    return html.escape(one_line(value), quote=True)


def row_start(protocol: str, backbone: str, kind: str, method: str) -> str:
    """The start of a row, with the properties that the filters look at."""
    facts = {"protocol": protocol, "backbone": backbone, "kind": kind, "method": method}
    return "<tr " + " ".join(f'data-{name}="{escape(value)}"' for name, value in facts.items()) + ">"


def row_of(result: Result) -> tuple[str, str, str, str]:
    """A result's properties, in the order of :func:`row_start`."""
    return result["protocol"], result["backbone"], kind_of(result["backbone"]), result["method"]


def row_title(method: str, backbone: str, *others: str, dataset: str = "") -> str:
    """The head of a row; what is under the method shows where the columns that hold it are folded.

    Args:
        method: its name.
        backbone: networks and weights; the others go by their short names.
        others: further details, empty ones are left out.
        dataset: shown on phones only, where its own column is folded too.
    """
    first, *more = backbone.split(JOIN)
    names = JOIN.join([first, *(name if "(" in name else name.rpartition("/")[2] for name in more)])
    details = breakable(", ".join(filter(None, (names, *others))))
    first_line = f'<span class="{ON_PHONES}">{breakable(dataset)}</span>' if dataset else ""
    under = f'<small class="under">{first_line}{details}</small>' if details else ""
    return f'<th scope="row" data-value="{escape(method)}"><div class="text">{escape(method)}{under}</div></th>'


def name_cell(text: str, kind: str = NAME + SECONDARY) -> str:
    """A cell that holds text."""
    return f'<td class="{kind}"><div class="text">{breakable(text)}</div></td>'


def table(caption: str, columns: Sequence[Column], rows: Sequence[str]) -> str:
    """A sortable table in a region that can be scrolled, and the switch that unfolds its secondary columns.

    Args:
        caption: its title.
        columns: its heads, from left to right.
        rows: elements ``<tr>``, escaped.
    """
    folded = [column.title for column in columns if column.kind.endswith(SECONDARY)]
    words = escape(f"Show {_listed(folded).lower()}")
    switch = f'<label class="more"><input type="checkbox"> {words}</label>' if folded else ""
    heads, body, title = "".join(map(_head, columns)), "\n".join(rows), escape(caption)
    return (
        f'{switch}<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table class="sortable">'
        f"<caption><h2>{title}</h2></caption><thead><tr>{heads}</tr></thead><tbody>\n{body}\n"
        "</tbody></table></div>"
    )


def breakable(title: str) -> str:
    """Escaped text that breaks well: at underscores and slashes, in long words, and in "50 of 200" on phones only."""
    text = escape(title).replace("_", "_<wbr>").replace("/", "/<wbr>").replace("background", "back&shy;ground")
    text = re.sub(r"(?<=\w{10})\(", "<wbr>(", text)
    return re.sub(r"\((\d+) of (\d+\)?)", r'<span class="part">(\1 of&nbsp;\2</span>', text)


def _head(column: Column) -> str:
    title = breakable(column.title)
    inner = f'<button type="button">{title}</button>' if column.sortable else f"<span>{title}</span>"
    return f'<th scope="col" class="{column.kind}">{inner}</th>'


def _listed(titles: Sequence[str]) -> str:
    [*first, last] = titles or [""]
    return f"{', '.join(first)} and {last}" if first else last
