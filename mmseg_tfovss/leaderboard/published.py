"""Numbers that papers and repositories print, each with its source."""

import csv
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from mmseg_tfovss.evaluation.result import Result
from mmseg_tfovss.leaderboard.check import SCORES
from mmseg_tfovss.leaderboard.run import Run, is_partial

_FOLDER = Path(__file__).parent / "numbers"
_ROW = ("method", "backbone", "setting", "source")  # what the numbers of a printed row share
_AVERAGE = "average"
_ROUNDING = 0.1001  # numbers and average are each rounded to 0.1, so the average differs from theirs by no more
_NO_LEADERBOARD = ("_ablations", "_complexity")  # how names of its other files end
JOIN = " + "  # between the networks of a backbone
_PAPER_NAMES = {"stable-diffusion-2": "Stable Diffusion 2"}  # part of a hub id or folder -> as papers write it


@dataclass(frozen=True)
class Published:
    """One printed row of scores on one dataset.

    Attributes:
        dataset: key.
        method: the class, where this package has the method; else as printed.
        backbone: open_clip's architecture and weights where the source's own runs are meant.
        setting: of the source.
        scores: by name, as printed; those that are not printed are missing.
        source: paper or repository.
        note: about this number, mostly empty.
        average: of the row that the number stands in, as printed; empty where there is none, or where it cannot be the
            mean of the row's numbers.
        averaged: the datasets of ``average``.
    """

    dataset: str
    method: str
    backbone: str
    setting: str
    scores: dict[str, str]
    source: str
    note: str = ""
    average: str = ""
    averaged: tuple[str, ...] = ()

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that the backbone names."""
        return tuple(self.backbone.split(JOIN))


def read_published(name: str) -> list[dict[str, str]]:
    """A file of the folder ``numbers``, by its name without suffix: numbers as printed, each with its source.

    ``<paper>`` holds a paper's main tables, its own rows and those it quotes; a mean over several datasets has the
    dataset ``average``. ``<paper>_versatility`` holds its rows around other methods. ``<paper>_ablations`` has the same
    columns, ``<paper>_complexity`` those of :mod:`mmseg_tfovss.profiling.complexity`. Methods of this package have the
    names of their classes: SCCLIP for SC-CLIP.
    """
    text = (_FOLDER / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def published_numbers(datasets: Collection[str]) -> list[Published]:
    """Numbers of the main tables on these datasets, sorted by dataset, setting, source, then falling mIoU.

    They were measured by others, under their protocols: see the source before comparing. Numbers of a method that
    another method's paper quotes say so in their setting.
    """
    names = sorted(path.stem for path in _FOLDER.glob("*.csv") if not path.stem.endswith(_NO_LEADERBOARD))
    found = [number for name in names for number in _numbers(read_published(name)) if number.dataset in datasets]
    return sorted(found, key=lambda p: (p.dataset, p.setting, p.source, -float(p.scores["mIoU"]), p.method))


def _numbers(lines: Sequence[Mapping[str, str]]) -> list[Published]:
    rows = defaultdict(list)
    for line in lines:
        rows[tuple(line[name] for name in _ROW)].append(line)
    found = []
    for row in rows.values():
        numbers = [line for line in row if line["dataset"] != _AVERAGE]
        average = _average_of(numbers, [line["mIoU"] for line in row if line["dataset"] == _AVERAGE])
        averaged = tuple(line["dataset"] for line in numbers) if average else ()
        found += [_number(line, average, averaged) for line in numbers]
    return found


def _average_of(numbers: Sequence[Mapping[str, str]], printed: Sequence[str]) -> str:
    """The printed average, if it can be of the numbers beside it: some sources average over other datasets."""
    mean = fmean(float(line["mIoU"]) for line in numbers) if numbers else 0.0
    return next((value for value in printed if abs(float(value) - mean) <= _ROUNDING), "")


def _number(line: Mapping[str, str], average: str, averaged: tuple[str, ...]) -> Published:
    return Published(
        dataset=line["dataset"],
        method=line["method"],
        backbone=line["backbone"],
        setting=line["setting"],
        scores={score: line[score] for score in SCORES if line[score]},
        source=line["source"],
        note=line.get("note") or "",
        average=average,
        averaged=averaged,
    )


def full_source(numbers: Sequence[Published]) -> str:
    """The source of a row's numbers, with their notes."""
    return "; ".join((numbers[0].source, *sorted({number.note for number in numbers if number.note})))


def counterpart(result: Result, published: Collection[Published]) -> Published | None:
    """The printed number that a result repeats by its names, if there is one.

    Whether its settings are those of a config is another question: see :mod:`~mmseg_tfovss.leaderboard.leaves`.

    Only under the paper protocol without changes from the command line, and only if dataset, method and setting are the
    same and the backbone is: every network that the source names is the result's, in their order. (A source may leave
    a further network to the method's name.) Precision does not matter: most authors ran float16, and do not say so
    beside their numbers; ours in ``fp32``, ``bf16`` and ``fp16`` are all compared with them.
    """
    if result["protocol"] != "paper" or result["overrides"]:
        return None
    names = (result["dataset"], result["method"], result["setting"], result["backbone"])
    return next((number for number in published if is_of(number, *names)), None)


def is_of(number: Published, dataset: str, method: str, setting: str, backbone: str) -> bool:
    """Whether a printed number is, by its names, of a run: see :func:`counterpart`."""
    networks = [_as_printed(name) for name in backbone.split(JOIN)]
    same = (number.dataset, number.method, number.setting) == (dataset, method, setting)
    rest = iter(networks)
    return same and networks[0] == number.networks[0] and all(name in rest for name in number.networks)


def counterpart_of(run: Run, published: Collection[Published]) -> Published | None:
    """The same for a run; none if something tells it from others of its name, or it is over a part of the images."""
    return None if run.differences or is_partial(run.result) else counterpart(run.result, published)


def _as_printed(network: str) -> str:
    return next((name for part, name in _PAPER_NAMES.items() if part in network.lower()), network)
