"""What is timed, and what it should reach."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.profiling.gpu_report.entries import Row


@dataclass(frozen=True)
class Aim:
    """A number that a case should reach on an H100 or H200.

    Attributes:
        key: in the case's row.
        limit: that it is compared with.
        least: whether it should be at least that, or else below it.
        what: the number is.
        form: of both numbers.
        beside: a number of others to compare with.
    """

    key: str
    limit: float
    least: bool
    what: str
    form: str
    beside: str = ""

    def reached(self, row: Row) -> bool:
        """Whether a row reaches it."""
        value: float = row[self.key]
        return value >= self.limit if self.least else value < self.limit

    def told(self, row: Row) -> str:
        """A sentence on the aim and what was found."""
        limit, found = (format(value, self.form) for value in (self.limit, row[self.key]))
        verb, end = "at least" if self.least else "under", "reached" if self.reached(row) else "not reached"
        return f"{self.what} {verb} {limit}{self.beside}; here {found}: {end}"


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        name: in the report.
        method: one of ``METHODS``.
        size: that the image is resized to first; ``None``: its own.
        options: of the config, by dotted names.
        single: batch 1 alone is timed.
        aims: with the networks that they are for.
    """

    name: str
    method: str
    size: Size | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    single: bool = False
    aims: tuple[Aim, ...] = ()


_AFTER = Aim("after_encoder", 0.15, False, "share after the encoder", ".1%")
_RATE = Aim("images_per_second", 150, True, "images/s", ".4g")
_WHOLE = Aim("single_ms", 60, False, "milliseconds", ".1f", " (the paper: 570 on an RTX 3090)")
_DSLO_SIDE = 512


def cases_of(network: str, methods: tuple[str, ...]) -> list[Case]:
    """A case for each method, and DSLO on a whole image of 512 pixels; aims are for ViT-B/16."""
    if network == "pocket":
        return [Case(method, method) for method in methods]
    cases = [Case(method, method, aims=(_RATE, _AFTER) if method == "SCLIP" else (_AFTER,)) for method in methods]
    if "DSLO" in methods:
        whole = {"model.short_side": _DSLO_SIDE}
        name = f"DSLO, {_DSLO_SIDE} px"
        cases.append(Case(name, "DSLO", (_DSLO_SIDE, _DSLO_SIDE), whole, single=True, aims=(_WHOLE,)))
    return cases
