"""The search for the best batch ends when larger ones do not help, or time or memory ends."""

import pytest
import torch

from mmseg_tfovss.profiling.gpu_report.deadline import Deadline
from mmseg_tfovss.profiling.gpu_report.search import search_batches

OWN = 16  # windows at a time


def search(by_batch, by_windows=None, seconds=60, **options):
    """The pairs tried, and how the search ended."""
    by_windows = by_windows or {}

    def rate_of(batch, windows):
        rate = by_batch.get(batch) if windows is None else by_windows.get(windows, 0.0)
        if rate is None:
            raise torch.cuda.OutOfMemoryError
        return rate, OWN if windows is None else windows

    rates, ended = search_batches(rate_of, Deadline(seconds), **options)
    return list(rates), ended


def test_two_larger_batches_in_vain_end_it():
    rising = {1: 10.0, 2: 20.0, 4: 20.1, 8: 19.0, 16: 99.0}
    tried, ended = search(rising)
    assert tried == [(1, 16), (2, 16), (4, 16), (8, 16), (4, 32), (4, 64)]
    assert ended == ""


def test_one_in_vain_does_not():
    tried, _ = search({1: 10.0, 2: 9.0, 4: 20.0, 8: 30.0, 16: 40.0, 32: 50.0})
    assert tried[:6] == [(batch, 16) for batch in (1, 2, 4, 8, 16, 32)]


def test_more_windows_are_tried_while_they_help():
    tried, ended = search({1: 10.0, 2: 9.0, 4: 9.0}, {32: 20.0, 64: 30.0, 128: 29.0, 256: 28.0})
    assert tried[3:] == [(1, 32), (1, 64), (1, 128), (1, 256)]
    assert ended == ""


def test_memory_ends_it_and_the_rates_so_far_count():
    tried, ended = search({1: 10.0, 2: 20.0})
    assert tried == [(1, 16), (2, 16)]
    assert ended == " Memory ended the search at batch 4."
    _, ended = search({1: 10.0, 2: 9.0, 4: 9.0}, {32: 20.0, 64: None})
    assert ended == " Memory ended the search at batch 1 with 64 windows."


def test_a_single_image_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match=r"^A single image does not fit into the memory of the device\.$"):
        search({})


def test_time_ends_it_after_the_first_rate():
    assert search({1: 10.0, 2: 20.0}, seconds=0) == ([(1, 16)], " Time ended the search.")


def test_nothing_is_searched_for_a_single_image():
    assert search({1: 10.0, 2: 20.0}, largest=1) == ([(1, 16)], "")
