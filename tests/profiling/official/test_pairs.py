"""Both sides label the same image in turn, and ratios are of pairs."""

import numpy as np
import pytest
import torch

from mmseg_tfovss.profiling.official import pairs as pairs_module
from mmseg_tfovss.profiling.official.pairs import Pairs, time_pairs
from tests.parity.cases import FOLDER


def test_the_ratio_is_the_median_of_the_pairs():
    found = Pairs(official=(2.0, 9.0, 4.0), ours=(1.0, 3.0, 4.0), agreement=0.5, classes=2)
    assert found.ratio == 2.0


def test_sides_take_turns_and_the_first_round_is_left_out(monkeypatch):
    calls, clock = [], iter(range(100))
    monkeypatch.setattr(pairs_module.time, "perf_counter", lambda: next(clock))

    def side(name, label):
        def call(image):
            assert image.dtype == np.uint8
            calls.append(name)
            return torch.tensor([[0, label]])

        return call

    found, stopped = time_pairs(
        side("theirs", 1), {"fp32": side("fp32", 1), "bf16": side("bf16", 2)}, FOLDER / "images/china.png", 2
    )
    assert stopped is None
    assert calls == ["theirs", "fp32", "bf16"] * 3
    assert len(found["fp32"].official) == len(found["bf16"].ours) == 2
    assert (found["fp32"].agreement, found["bf16"].agreement) == (1.0, 0.5)
    assert found["bf16"].classes == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no memory")])
@pytest.mark.parametrize(("fails_in", "pairs"), [(1, 0), (2, 0), (3, 1), (4, 2)])
def test_pairs_that_were_finished_stay(error, fails_in, pairs):
    rounds = []

    def ours(image):
        rounds.append(1)
        if len(rounds) == fails_in:
            raise error
        return torch.tensor([[0]])

    def measure():
        return time_pairs(lambda image: torch.tensor([[0]]), {"fp32": ours}, FOLDER / "images/china.png", 5)

    if not pairs:
        with pytest.raises(type(error)):
            measure()
        return
    found, stopped = measure()
    assert stopped is error
    assert len(found["fp32"].official) == len(found["fp32"].ours) == pairs
