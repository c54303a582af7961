"""Keep a leaderboard up to date while runs finish."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mmseg_tfovss.leaderboard.files import find_results
from mmseg_tfovss.leaderboard.results import Collected, collect_results
from mmseg_tfovss.leaderboard.run import image_count, is_partial
from mmseg_tfovss.plain import printable

State = Mapping[Path, tuple[int, int]]


def watch_results(
    folders: Sequence[Path], write: Callable[[Collected], object], wait: Callable[[], object]
) -> Iterator[str]:
    """Write at first and whenever a result file appears, changes or goes; runs for ever.

    Folders may be empty: their runs are under way. Where no result counts any more, the last leaderboard stays; so it
    does while a folder is away.

    Args:
        folders: see :func:`~mmseg_tfovss.leaderboard.results.collect_results`.
        write: called with what was collected.
        wait: called between two looks.

    Yields:
        A line per change.

    Raises:
        FileNotFoundError: a folder does not exist at the start.
    """
    for folder in folders:
        if not folder.exists():
            raise FileNotFoundError(
                f"The result folder {printable(folder)} does not exist: start a run first, or make it."
            )
    before: State | None = None
    while True:
        now = _look(folders)
        if before is None and not now:
            yield f"waiting for the first result below {', '.join(map(str, folders))}"
        if now != (before or {}):
            collected = _collect(folders)
            if collected.runs:
                write(collected)
            yield from _changes(before or {}, now, collected)
        before = now
        wait()


def _look(folders: Sequence[Path]) -> State:
    state = {}
    for path in find_results(folders).files:
        with suppress(OSError):  # it went while we looked; or it is a link in a circle
            stat = path.stat() if os.path.exists(path) else path.lstat()  # noqa: PTH110 - Path.exists may raise
            state[path] = (stat.st_mtime_ns, stat.st_size)
    return state


def _collect(folders: Sequence[Path]) -> Collected:
    try:
        return collect_results(folders)
    except FileNotFoundError:  # the last one went
        return Collected(())


def _changes(before: State, now: State, collected: Collected) -> Iterator[str]:
    scores = {run.path: run.result for run in collected.runs}
    reasons = {item.path: item.reason for item in collected.left_out}
    for path in sorted({*before, *now}):
        if before.get(path) == now.get(path):
            continue
        what = "gone" if path not in now else "changed" if path in before else "new"
        text = ""
        if path in scores:
            result = scores[path]
            miou = result["metrics"]["mIoU"]
            text = f": {result['method']} on {result['dataset']} ({result['protocol']}) mIoU {miou:.2f}"
            text += f" (partial: {image_count(result)} images)" if is_partial(result) else ""
        elif path in reasons:
            text = f" and left out: {reasons[path]}"
        yield f"{what} {path}{text}"
