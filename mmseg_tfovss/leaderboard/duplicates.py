"""Several results of one and the same run: which one counts, and what is said of the others."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from mmseg_tfovss.evaluation.result import Result
from mmseg_tfovss.leaderboard.check import KEY, SCORES
from mmseg_tfovss.leaderboard.files import LeftOut
from mmseg_tfovss.leaderboard.run import Run, is_partial, package_of
from mmseg_tfovss.plain import printable

# What may differ between two results of one run, and what it is called.
_CAUSES = {
    "code_hash": "code",
    "dataset_hash": "files of the dataset",
    "git_commit": "commit",
    "device": "device",
}
_HASH = re.compile(r"\b([0-9a-f]{10})[0-9a-f]{30,}")
_BEGINNING = datetime.min.replace(tzinfo=UTC)


def newest_of_each(runs: Sequence[Run]) -> tuple[list[Run], list[LeftOut]]:
    """Keep the newest result of each run; of all images before one of only some.

    Two results are of the same run if their names, settings (by hash, and by value where both record them), weights
    and words are equal.

    Args:
        runs: any.

    Returns:
        One result of each run; and the others, each with the file that counts instead, and with what differs where the
        scores do.
    """
    kept: defaultdict[tuple[str, ...], list[Run]] = defaultdict(list)
    left_out = []
    for run in sorted(runs, key=_worth, reverse=True):
        others = kept[_key(run.result)]
        place = next((n for n, other in enumerate(others) if _are_same(run.result, other.result)), None)
        if place is None:
            others.append(run)
            continue
        left_out.append(LeftOut(run.path, _reason(run, others[place])))
        others[place] = _with_fewest_changes(others[place], run)
    return [run for runs_of_key in kept.values() for run in runs_of_key], left_out


def _key(result: Result) -> tuple[str, ...]:
    names = (result[name] for name in KEY)
    return (*names, result["config_hash"], result["weights_hash"], result["vocabulary_hash"])


def _are_same(one: Result, other: Result) -> bool:
    if one["settings"] and other["settings"]:
        return one["settings"] == other["settings"]
    return one["overrides"] == other["overrides"]


def _with_fewest_changes(run: Run, other: Run) -> Run:
    """The command line may say what a file says too: then these settings are the file's own, whichever is newer."""
    fewest = min(run.result["overrides"], other.result["overrides"], key=len)
    return replace(run, result={**run.result, "overrides": fewest})


def _worth(run: Run) -> tuple[bool, datetime]:
    return not is_partial(run.result), _finished(run.result)


def _finished(result: Result) -> datetime:
    try:
        time = datetime.fromisoformat(result["finished_at"])
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return _BEGINNING


def _reason(run: Run, kept: Run) -> str:
    what = ", ".join(run.result[name] for name in KEY if run.result[name])
    why = "finished later" if _worth(kept) > _worth(run) else "finished at the same time"
    why = "is of all images" if _worth(kept)[0] > _worth(run)[0] else why
    return (
        f"is a duplicate: {printable(kept.path)} holds the same run ({what}; same settings, weights and words),"
        f" {why}, and counts instead.{_difference(run.result, kept.result)}"
    )


def _difference(older: Result, newer: Result) -> str:
    """How the scores of two results of one run differ, and what else does; empty if the scores are equal."""
    score = next((name for name in SCORES if older["metrics"][name] != newer["metrics"][name]), None)
    if score:
        told = f"Their scores differ ({score} {older['metrics'][score]:.6g} and {newer['metrics'][score]:.6g})"
    elif older["per_class"] != newer["per_class"]:
        told = "Their scores of classes differ"
    elif older["num_images"] != newer["num_images"]:
        told = f"Their numbers of images differ ({older['num_images']} and {newer['num_images']})"
    else:
        return ""
    causes = ", ".join(_causes(older, newer))
    return f" {told}; {f'they also differ in {causes}' if causes else 'nothing that is recorded says why'}."


def _causes(older: Result, newer: Result) -> list[str]:
    found = [
        f"{what} ({_short(older[name])} and {_short(newer[name])})"  # type: ignore[literal-required]
        for name, what in _CAUSES.items()
        if older[name] != newer[name]  # type: ignore[literal-required]
    ]
    if package_of(older) != package_of(newer):
        found.append(f"package ({package_of(older) or 'none'} and {package_of(newer) or 'none'})")
    then, now = older["versions"], newer["versions"]
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    return found + [f"version of {name} ({_short(then.get(name))} and {_short(now.get(name))})" for name in names]


def _short(value: object) -> str:
    return "none" if value is None else _HASH.sub(r"\1", str(value))
