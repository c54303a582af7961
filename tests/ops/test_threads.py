"""Work in threads: results in order, while the next batch is being made."""

import threading

import pytest
import torch

from mmseg_tfovss.ops.threads import work_in_threads


def test_results_come_in_order_and_in_inference_mode():
    second = threading.Event()

    def work(item):
        if item == 0:
            assert second.wait(timeout=30)  # the second item is done before the first
        if item == 1:
            second.set()
        return item, torch.ones(1).is_inference()

    assert work_in_threads(work, [[0, 1], [], [2, 3]]) == [(item, True) for item in range(4)]
    assert work_in_threads(work, []) == []


def test_the_next_batch_is_made_meanwhile():
    made = threading.Event()

    def batches():
        yield [1]
        made.set()
        yield [2]

    assert work_in_threads(lambda item: (made.wait(timeout=30), item), batches()) == [(True, 1), (True, 2)]


def test_mistakes_are_not_swallowed():
    def fail(item):
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 5"):
        work_in_threads(fail, [[5]])
