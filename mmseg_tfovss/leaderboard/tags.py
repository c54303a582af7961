"""What the parts of the leaderboard's page share: escaped text, and rows that the filters find."""

import html

from mmseg_tfovss.evaluation.result import Result
from mmseg_tfovss.leaderboard.board import kind_of
from mmseg_tfovss.plain import one_line


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
