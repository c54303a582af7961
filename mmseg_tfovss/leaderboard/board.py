"""The leaderboard as data: rows method x backbone x setting of each protocol, columns datasets and their averages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mmseg_tfovss.leaderboard.files import LeftOut
from mmseg_tfovss.leaderboard.published import JOIN, Published
from mmseg_tfovss.leaderboard.run import Run, is_incomplete

POCKET_NOTE = (
    "pocket_* is the bundled benchmark of generated scenes with a small CLIP trained on them: it shows that the"
    " pipeline works and ranks nothing about the real world."
)
PUBLISHED = "published"
ONE_NETWORK, TWO_NETWORKS, MORE_NETWORKS = "CLIP only", "CLIP and a second network", "CLIP and other networks"
NOT_STATED = "not stated"
USUAL_PRECISION = "fp32"
Mark = Literal["", "best", "second"]
_TITLES = {
    "paper": "Protocol paper: the authors' settings",
    "unified": "Protocol unified: the same settings for all",
    PUBLISHED: "Published numbers",
}


@dataclass(frozen=True)
class Cell:
    """A number of the table.

    Attributes:
        value: mIoU in percent.
        mark: whether it is the best or second of its column.
        published: what the paper prints for it, as printed; mostly empty.
        source: of ``published``.
        reference: number of the source among those of the table; 0 without one.
        printed: the number as its source prints it, if it is not ours.
    """

    value: float
    mark: Mark = ""
    published: str = ""
    source: str = ""
    reference: int = 0
    printed: str = ""

    @property
    def text(self) -> str:
        """The value as it is shown."""
        return self.printed or f"{self.value:.2f}"

    @property
    def difference(self) -> float | None:
        """Ours minus the published number."""
        return self.value - float(self.published) if self.published else None


@dataclass(frozen=True)
class Line:
    """A row of the table.

    Attributes:
        method: name.
        backbone: networks and weights.
        setting: of the authors, what the command line changed, and what tells the row from others under its name.
        precision: of the image tower; empty for published numbers.
        kind: whether other networks than CLIP take part.
        cells: by column; what is missing is not there.
        ranked: False if the command line changed the protocol, and for published numbers.
        source: of published numbers.
        images: "50 of 200" if its numbers are of a part of the benchmark's images.
    """

    method: str
    backbone: str
    setting: str
    precision: str
    kind: str
    cells: Mapping[str, Cell]
    ranked: bool = True
    source: str = ""
    images: str = ""


@dataclass(frozen=True)
class Section:
    """The table of one protocol; results over a part of a benchmark's images have one of their own.

    Attributes:
        name: ``paper``, ``unified`` or ``published``.
        datasets: columns.
        averages: further columns.
        lines: rows, best first.
        sources: of the published values beside ours; the first has the number 1.
        is_part: whether its results are over a part of the images; its columns say how many.
    """

    name: str
    datasets: tuple[str, ...]
    averages: tuple[str, ...]
    lines: tuple[Line, ...]
    sources: tuple[str, ...] = ()
    is_part: bool = False

    @property
    def title(self) -> str:
        """Its heading."""
        return _TITLES[self.name] + (". Part of the images only" if self.is_part else "")

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns with numbers."""
        return (*self.datasets, *self.averages)


@dataclass(frozen=True)
class Board:
    """Everything that the files show.

    Attributes:
        sections: per protocol that occurs, whole results, then those over a part; then published numbers.
        runs: the results one by one.
        left_out: result files that do not count.
        notes: sentences that belong to the tables.
        published: numbers one by one.
    """

    sections: tuple[Section, ...]
    runs: tuple[Run, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    published: tuple[Published, ...] = ()

    @property
    def incomplete(self) -> tuple[Run, ...]:
        """Runs over another number of images than the benchmark has, though nobody chose a part of them."""
        return tuple(run for run in self.runs if is_incomplete(run.result))


def kind_of(backbone: str) -> str:
    """Whether a backbone names no other network than CLIP, one, or more."""
    return (ONE_NETWORK, TWO_NETWORKS, MORE_NETWORKS)[min(backbone.count(JOIN), 2)]
