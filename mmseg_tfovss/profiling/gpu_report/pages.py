"""A report as Markdown and JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg_tfovss.profiling.gpu_report.entries import DONE, FAILED, LEFT_OUT, RUNNING, STOPPED, Entry, Row, Section
from mmseg_tfovss.whole_file import whole_file

MARKDOWN, JSON = "report.md", "report.json"
SCHEMA_VERSION = 1
_NONE = "–"
_SAID = {
    FAILED: "**{name} failed**: {error}",
    LEFT_OUT: "{name} was left out: {error}",
    STOPPED: "**{name} was stopped.**",
    RUNNING: "{name} is running.",
}


def write_pages(
    folder: Path,
    facts: Mapping[str, Any],
    sections: Mapping[str, Section],
    entries: Sequence[Entry],
    *,
    complete: bool,
) -> None:
    """Write both files; each is whole at any moment.

    Args:
        folder: of the files; it is made if needed.
        facts: what the report is of, by name.
        sections: by key, in order.
        entries: steps so far.
        complete: whether all steps have had their turn.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "complete": complete,
        **facts,
        "steps": [entry.as_dict() for entry in entries],
    }
    texts = {
        JSON: json.dumps(_finite(content), indent=2) + "\n",
        MARKDOWN: to_markdown(facts, sections, entries, complete=complete),
    }
    for name, text in texts.items():
        with whole_file(folder / name) as scratch:
            scratch.write_text(text, encoding="utf-8")


def to_markdown(
    facts: Mapping[str, Any], sections: Mapping[str, Section], entries: Sequence[Entry], *, complete: bool
) -> str:
    """The report for reading."""
    lines = ["# GPU report", ""]
    if not complete:
        lines += ["**This report is not complete**: the run that makes it is under way, or was stopped.", ""]
    left_out = sum(entry.state == LEFT_OUT for entry in entries)
    if complete and left_out:
        lines += [f"**{left_out} of {len(entries)} steps were left out**: the sections below say why.", ""]
    lines += [f"- {name}: {_inline(value)}" for name, value in facts.items() if isinstance(value, str | int | float)]
    for key, section in sections.items():
        own = [entry for entry in entries if entry.section == key]
        lines += ["", f"## {section.title}", "", section.about, ""]
        lines += _section_lines(section, own)
    return "\n".join(lines).rstrip() + "\n"


def _section_lines(section: Section, entries: Sequence[Entry]) -> list[str]:
    if not entries:
        return ["Not reached."]
    rows = [row for entry in entries for row in entry.rows]
    lines = [*_table(section, rows)] if rows else []
    remarks = [f"- {remark}" for entry in entries for remark in entry.remarks]
    ends = [
        "- " + _SAID[entry.state].format(name=_inline(entry.name), error=_inline(entry.error))
        for entry in entries
        if entry.state != DONE
    ]
    below = remarks + ends
    return [*lines, "", *below] if lines and below else lines + below


def _table(section: Section, rows: Sequence[Row]) -> list[str]:
    """Lines of a Markdown table; columns in which no row has anything are left out."""
    shown = {key: column for key, column in section.columns.items() if any(row.get(key) is not None for row in rows)}
    rule = ["---:" if form else "---" for _, form in shown.values()]
    cells = [[_cell(row.get(key), form) for key, (_, form) in shown.items()] for row in rows]
    return [f"| {' | '.join(line)} |" for line in ([heading for heading, _ in shown.values()], rule, *cells)]


def _cell(value: Any, form: str) -> str:  # noqa: ANN401 - a cell of JSON
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return _NONE
    if isinstance(value, int | float) and form:
        return format(value, form)
    return _inline(value)


def _inline(value: object) -> str:
    """Text on one line, in which nothing is a table's or a tag's."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Numbers that JSON does not have become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
