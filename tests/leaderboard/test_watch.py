"""The leaderboard while runs finish."""

from contextlib import suppress

import pytest

from mmseg_tfovss.evaluation.result import write_result
from mmseg_tfovss.leaderboard.watch import watch_results
from tests.evaluation.test_result import make_result


class StopError(Exception):
    """Ends the watching, as Ctrl-C does."""


def watch(folder, steps):
    """Lines and numbers of written results, with one step between two looks."""
    written, lines, queue = [], [], iter(steps)

    def wait():
        step = next(queue, None)
        if step is None:
            raise StopError
        step()

    source = watch_results([folder], lambda found: written.append(len(found.runs)), wait)
    with suppress(StopError):
        while True:
            lines.append(next(source))
    return lines, written


def test_one_line_per_change_and_written_only_then(tmp_path):
    result = tmp_path / "a/result.json"
    steps = [
        lambda: write_result(make_result(), tmp_path / "a"),
        lambda: None,
        lambda: write_result(make_result(metrics={**make_result()["metrics"], "mIoU": 6.0}), tmp_path / "a"),
        lambda: write_result(make_result(method="CLIP"), tmp_path / "b"),
        lambda: (tmp_path / "b/result.json").write_text("{"),
        lambda: (tmp_path / "b/result.json").unlink(),
        result.unlink,
    ]
    lines, written = watch(tmp_path, steps)
    other = tmp_path / "b/result.json"
    assert lines[:4] == [
        f"waiting for the first result below {tmp_path}",
        f"new {result}: SCLIP on voc21 (paper) mIoU 59.12",
        f"changed {result}: SCLIP on voc21 (paper) mIoU 6.00",
        f"new {other}: CLIP on voc21 (paper) mIoU 59.12",
    ]
    assert lines[4].startswith(f"changed {other} and left out: is not a result file")
    assert lines[5:] == [f"gone {other}", f"gone {result}"]
    assert written == [1, 1, 2, 1, 1]  # where nothing is left, the last leaderboard stays


def test_partial_results_say_so_and_a_folder_that_goes_is_waited_for(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    steps = [
        lambda: write_result(make_result(expected_images=1449), folder / "a"),
        lambda: folder.rename(tmp_path / "away"),
        lambda: (tmp_path / "away").rename(folder),
    ]
    lines, written = watch(folder, steps)
    found = f"{folder / 'a/result.json'}: SCLIP on voc21 (paper) mIoU 59.12 (partial: 10 of 1449 images)"
    assert lines[1:] == [f"new {found}", f"gone {folder / 'a/result.json'}", f"new {found}"]
    assert written == [1, 1]


def test_a_folder_that_does_not_exist_is_a_mistake(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        watch(tmp_path / "none", [])
