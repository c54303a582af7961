"""Numbers that papers and repositories print, each with its source."""

import csv
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mmseg_tfovss.evaluation.leaderboard_results import SCORES
from mmseg_tfovss.evaluation.result import Result

_FOLDER = Path(__file__).parent / "published"
_NO_LEADERBOARD = ("_ablations", "_complexity")  # how names of its other files end
JOIN = " + "  # between the networks of a backbone
_PAPER_NAMES = {"stable-diffusion-2": "Stable Diffusion 2"}  # part of a hub id or folder -> as papers write it


@dataclass(frozen=True)
class Published:
    """One printed row of scores on one dataset.

    Attributes:
        dataset: key.
        method: as printed.
        backbone: open_clip's architecture and weights where the source's own runs are meant.
        setting: of the source.
        scores: by name, as printed; those that are not printed are missing.
        source: paper or repository.
        note: about this number, mostly empty.
    """

    dataset: str
    method: str
    backbone: str
    setting: str
    scores: dict[str, str]
    source: str
    note: str = ""

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that the backbone names."""
        return tuple(self.backbone.split(JOIN))


def read_published(name: str) -> list[dict[str, str]]:
    """A file of the folder ``published``, by its name without suffix: numbers as printed, each with its source.

    ``<paper>`` holds a paper's main tables, its own rows and those it quotes; a mean over several datasets has the
    dataset ``average``. ``<paper>_ablations`` has the same columns, ``<paper>_complexity`` those of
    :mod:`mmseg_tfovss.analysis.complexity`.
    """
    text = (_FOLDER / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def published_numbers(datasets: Collection[str]) -> list[Published]:
    """Numbers of the main tables on these datasets, sorted by dataset, setting, source, then falling mIoU.

    They were measured by others, under their protocols: see the source before comparing. Numbers of a method that
    another method's paper quotes say so in their setting.
    """
    names = sorted(path.stem for path in _FOLDER.glob("*.csv") if not path.stem.endswith(_NO_LEADERBOARD))
    found = [
        Published(
            dataset=line["dataset"],
            method=line["method"],
            backbone=line["backbone"],
            setting=line["setting"],
            scores={score: line[score] for score in SCORES if line[score]},
            source=line["source"],
            note=line.get("note") or "",
        )
        for name in names
        for line in read_published(name)
        if line["dataset"] in datasets
    ]
    return sorted(found, key=lambda p: (p.dataset, p.setting, p.source, -float(p.scores["mIoU"]), p.method))


def counterpart(result: Result, published: Collection[Published]) -> Published | None:
    """The printed number that a result repeats, if there is one.

    Only under the paper protocol without changes from the command line, and only if dataset, method and setting are the
    same and the backbone is: every network that the source names is the result's, in their order. (A source may leave
    a further network to the method's name.)
    """
    if result["protocol"] != "paper" or result["overrides"]:
        return None
    wanted = (result["dataset"], result["method"], result["setting"])
    networks = [_as_printed(name) for name in result["backbone"].split(JOIN)]
    for number in published:
        same = (number.dataset, number.method, number.setting) == wanted
        if same and list(number.networks) == networks[: len(number.networks)]:
            return number
    return None


def _as_printed(network: str) -> str:
    return next((name for part, name in _PAPER_NAMES.items() if part in network.lower()), network)
