"""Methods in memory: loaded once, a few at a time, used by one caller at a time."""

import threading
import time

import pytest

from mmseg_tfovss.playground.segmenters import Segmenters


class Loading:
    def __init__(self):
        self.names = []

    def __call__(self, name):
        self.names.append(name)
        if name == "broken":
            raise FileNotFoundError("no such weights")
        return f"segmenter of {name}"


def used(segmenters, *names):
    for name in names:
        with segmenters.use(name) as found:
            assert found == f"segmenter of {name}"


def test_a_method_is_loaded_once():
    load = Loading()
    used(Segmenters(load, 2), "a", "b", "a", "b")
    assert load.names == ["a", "b"]


def test_the_one_unused_for_longest_goes():
    load = Loading()
    segmenters = Segmenters(load, 2)
    used(segmenters, "a", "b", "a", "c", "a", "b")
    assert load.names == ["a", "b", "c", "b"]
    assert len(segmenters) == 2


def test_what_cannot_be_loaded_is_tried_again():
    load = Loading()
    segmenters = Segmenters(load, 2)
    for _ in range(2):
        with pytest.raises(FileNotFoundError), segmenters.use("broken"):
            pass
    used(segmenters, "a")
    assert load.names == ["broken", "broken", "a"]


def test_one_caller_at_a_time():
    segmenters, inside, most = Segmenters(Loading(), 2), [], []

    def work(name):
        with segmenters.use(name):
            inside.append(name)
            most.append(len(inside))
            time.sleep(0.01)
            inside.remove(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]
