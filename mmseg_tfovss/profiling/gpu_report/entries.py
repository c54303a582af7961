"""What a report consists of: sections, their steps, and what the steps have found."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from mmseg_tfovss.profiling.gpu_report.deadline import Deadline

Row = dict[str, Any]
Found = Iterator[Row | str]
"""Rows of the section's table, and remarks in between, as they are found."""

RUNNING, DONE, LEFT_OUT, FAILED, STOPPED = "running", "done", "left out", "failed", "stopped"


class LeftOutError(Exception):
    """A step cannot run on this machine, which is no failure; the message says why."""


@dataclass(frozen=True)
class Section:
    """A heading of the report.

    Attributes:
        title: of the heading.
        about: a sentence or two on what is measured, Markdown.
        columns: of the table: key in the rows -> heading and format of numbers. Other keys are in the JSON file only.
    """

    title: str
    about: str
    columns: dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Step:
    """A piece of a section, which may fail without the others.

    Attributes:
        section: key of the section.
        name: what it is about, such as a method.
        work: finds rows and remarks, and ends by itself when the deadline is over.
        weight: its share of the time, relative to the other steps.
    """

    section: str
    name: str
    work: Callable[[Deadline], Found]
    weight: float = 1.0


@dataclass
class Entry:
    """What a step has found so far.

    Attributes:
        section: key of the section.
        name: of the step.
        state: one of the words above.
        allowed: seconds that it could take.
        seconds: that it has taken.
        rows: of the section's table.
        remarks: sentences, Markdown.
        error: why it has failed or was left out.
    """

    section: str
    name: str
    state: str = RUNNING
    allowed: float = 0.0
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    error: str | None = None

    def add(self, found: Row | str) -> None:
        """Take in a row or a remark."""
        if isinstance(found, str):
            self.remarks.append(found)
        else:
            self.rows.append(found)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
