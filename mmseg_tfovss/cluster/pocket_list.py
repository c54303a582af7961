"""The bundled benchmark's runs: which configs each method has there, and what is said when a method is through."""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mmseg_tfovss.cluster.local_list import Ended, progress, rest
from mmseg_tfovss.cluster.run_list import PlannedRun
from mmseg_tfovss.evaluation.result import read_result
from mmseg_tfovss.own_configs import config_files

SUBSET = 50  # scenes that are tested unless all are asked for
_CONFIG = re.compile(r"(?P<folder>.+)_vit-pocket(?:-(?P<setting>[a-z0-9-]+))?_pocket_(?:all|thing)")
# Settings that take part unasked: DSLO's other solver, and LPOSS with its second step.
_USUAL_SETTINGS = ("dslo_op", "lposs_plus")
# Time per scene, in that of CLIP, where it is far from 1: to begin with heavy runs, and to tell what time is left.
_TIMES = {
    "cass": 2.2,
    "cliptrase": 1.5,
    "dslo": 3.2,
    "dslo_op": 3.6,
    "gem": 2.0,
    "lavg": 2.0,
    "lposs": 2.7,
    "lposs_plus": 5.6,
    "resclip": 2.0,
    "rf_clip": 2.0,
}


def pocket_methods() -> dict[str, list[Path]]:
    """Configs on the pocket benchmark by method; ``lht_clip_naclip`` is LHT-CLIP around NACLIP."""
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for path in config_files().values():
        name = method_of(path)
        if name:
            found[name].append(path)
    return {name: sorted(found[name]) for name in sorted(found)}


def method_of(config: Path) -> str | None:
    """The method of a config on the pocket benchmark, with its setting if it has several; None for other configs."""
    match = _CONFIG.fullmatch(config.stem)
    if match is None or match["folder"] != config.parent.name:
        return None
    return "_".join(filter(None, (match["folder"], match["setting"]))).replace("-", "_")


def choose_methods(names: Iterable[str] = ()) -> dict[str, list[Path]]:
    """Configs of some methods.

    Args:
        names: of methods; none: all, with their usual settings.

    Raises:
        ValueError: no such method; near matches are offered.
    """
    known = pocket_methods()
    wanted = [name.lower().replace("-", "_") for name in names]
    for name in wanted:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3)
            hint = f" Did you mean {' or '.join(close)}?" if close else ""
            raise ValueError(f"unknown method {name!r} on the pocket benchmark.{hint} Valid: {', '.join(known)}.")
    usual = [name for name, paths in known.items() if name == paths[0].parent.name or name in _USUAL_SETTINGS]
    return {name: known[name] for name in wanted or usual}


def in_order(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """The runs of one of the fastest methods, so that there is soon a line, then the others, heaviest first."""
    known = [replace(run, cost=_TIMES.get(method_of(run.config) or "", 1.0)) for run in runs]
    known.sort(key=lambda run: -run.cost)
    fastest = method_of(known[-1].config) if known else None
    return sorted(known, key=lambda run: method_of(run.config) != fastest)


class MethodLines:
    """A line for each method when all of its runs have ended.

    Args:
        runs: those to do.
        folders: where results are, of these runs and of those that had finished before.
    """

    def __init__(self, runs: Sequence[PlannedRun], folders: Mapping[str, Sequence[Path]]) -> None:
        self._waiting: defaultdict[str, set[str]] = defaultdict(set)
        for run in runs:
            self._waiting[method_of(run.config) or run.name].add(run.name)
        self._folders, self._total, self._failed = folders, len(self._waiting), defaultdict[str, int](int)

    def __call__(self, ended: Ended) -> list[str]:
        """What to say when a run has ended: nothing while others of its method are to come."""
        method = method_of(ended.run.config) or ended.run.name
        self._waiting[method].discard(ended.run.name)
        self._failed[method] += ended.reason is not None
        if self._waiting[method]:
            return []
        done = sum(not waiting for waiting in self._waiting.values())
        scores = [_score(folder) for folder in self._folders[method]]
        told = ", ".join(filter(None, scores)) or "no result"
        failed = f"; {self._failed[method]} FAILED" if self._failed[method] else ""
        return [f"{progress(done, self._total)} {method}: {told}{failed}{rest(ended.left)}"]


def _score(folder: Path) -> str:
    """``pocket_all 68.31``; empty without a result."""
    try:
        result = read_result(folder)
    except (OSError, ValueError):
        return ""
    return f"{result['dataset']} {result['metrics']['mIoU']:.2f}"
