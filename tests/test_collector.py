"""The first collection comes late, all others as ever."""

import gc

import pytest

from mmseg_tfovss.collector import delay_first_collection


@pytest.fixture(autouse=True)
def as_before():
    usual, callbacks, enabled = gc.get_threshold(), list(gc.callbacks), gc.isenabled()
    yield
    gc.set_threshold(*usual)
    gc.callbacks[:] = callbacks
    (gc.enable if enabled else gc.disable)()


def test_the_first_collection_waits_and_restores_the_thresholds():
    gc.set_threshold(700, 10, 10)
    before = list(gc.callbacks)
    gc.collect()
    delay_first_collection(50_000)
    runs = []
    gc.callbacks.append(lambda phase, _: runs.append(len(kept)) if phase == "start" else None)
    kept = []
    while not runs:
        kept.append([])
    assert 49_000 < runs[0] < 52_000
    assert gc.get_threshold() == (700, 10, 10)
    assert gc.callbacks[:-1] == before
    first = len(kept)
    runs.clear()
    while not runs:
        kept.append([])
    assert runs[0] - first < 3_000


@pytest.mark.parametrize("threshold", [700, 0])
def test_a_collector_that_is_off_stays_off(threshold):
    gc.set_threshold(threshold, 10, 10)
    (gc.disable if threshold else gc.enable)()
    before = list(gc.callbacks)
    delay_first_collection()
    assert (gc.get_threshold(), gc.callbacks) == ((threshold, 10, 10), before)


def test_a_larger_threshold_is_kept():
    gc.set_threshold(5_000_000, 10, 10)
    delay_first_collection()
    assert gc.get_threshold() == (5_000_000, 10, 10)
