"""Every image is handed out once, always in the same batch."""

from types import SimpleNamespace

import pytest

from mmseg_tfovss.engine import batches as module
from mmseg_tfovss.engine.batches import FixedBatches


def shares(monkeypatch, world, done=()):
    found = []
    for rank in range(world):
        monkeypatch.setattr(module, "get_dist_info", lambda rank=rank: (rank, world))
        batches = FixedBatches(SimpleNamespace(dataset=range(23)), 4)
        batches.leave_out(done)
        assert len(batches) == len(list(batches))
        found += list(batches)
    return found


@pytest.mark.parametrize("world", [1, 2, 3, 4, 8])
def test_the_batches_do_not_depend_on_the_number_of_processes(monkeypatch, world):
    assert sorted(shares(monkeypatch, world)) == [list(range(k, min(k + 4, 23))) for k in range(0, 23, 4)]


def test_done_batches_are_left_out(monkeypatch):
    assert sorted(shares(monkeypatch, 3, done={1, 2, 5})) == [[0, 1, 2, 3], [12, 13, 14, 15], [16, 17, 18, 19]]
    assert shares(monkeypatch, 2, done=range(6)) == []


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_batch_size_must_be_a_number_of_images(size):
    with pytest.raises(ValueError, match=r"test_dataloader\.batch_size must be at least 1"):
        FixedBatches(SimpleNamespace(dataset=range(3)), size)
