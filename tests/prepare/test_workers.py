"""Workers: many items a process, and a new process for each one that dies."""

import os
import signal
from functools import partial

import pytest

from mmseg_tfovss.prepare import workers as module
from mmseg_tfovss.prepare.workers import LostWorkerError, Workers, limited


def note_process(item, folder):
    """Leave a file with the number of this process, or do what the item says."""
    if item == "raise":
        raise KeyError("no such thing")
    if item == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "kill once" and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / str(item)).write_text(str(os.getpid()))


@pytest.fixture
def run(tmp_path):
    """Work on all items: what went wrong with each."""
    pools = []

    def run(items, count=2):
        pools.append(Workers(partial(note_process, folder=tmp_path), count))
        return dict(pools[-1].run(items))

    yield run
    for pool in pools:
        pool.close()


def processes(folder):
    return {int(path.read_text()) for path in folder.iterdir() if path.read_text()}


@pytest.mark.parametrize("count", [1, 2])
def test_processes_serve_many_items(count, run, tmp_path):
    assert run(range(30), count) == dict.fromkeys(range(30))
    assert 1 <= len(processes(tmp_path)) <= count
    assert os.getpid() not in processes(tmp_path)


def test_what_an_item_raises_is_handed_on(run):
    found = run([1, "raise", 2])
    assert isinstance(found["raise"], KeyError)
    assert (found[1], found[2]) == (None, None)


@pytest.mark.parametrize("count", [1, 2])
def test_process_that_dies_is_replaced_and_its_item_named(count, run, tmp_path):
    found = run([1, "crash", 2, "kill", 3, 4], count)
    assert isinstance(found["crash"], LostWorkerError)
    assert "signal 11, SIGSEGV" in str(found["crash"])
    assert "killed twice" in str(found["kill"])
    assert [found[item] for item in (1, 2, 3, 4)] == [None] * 4


def test_item_whose_process_was_killed_once_is_tried_again(run, tmp_path):
    assert run([1, "kill once", 2]) == {1: None, "kill once": None, 2: None}
    assert (tmp_path / "kill once").is_file()


def test_items_are_drawn_as_they_are_needed(run):
    drawn = []
    pool = Workers(partial(note_process, folder=None), 2)
    results = pool.run(drawn.append(item) or item for item in range(100))
    next(results)
    pool.close()
    assert len(drawn) <= 4


def test_limit_of_time_is_lifted_after_the_block(monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 100.0)
    with limited():
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 100
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    with pytest.raises(ValueError, match="needs more than"), limited():
        raise MemoryError
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
