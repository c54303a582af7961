"""The rate of matrix products is the best of several, and never less than an honest count allows."""

import torch

from mmseg_tfovss.profiling import roofline
from mmseg_tfovss.profiling.roofline import MatmulRate


def test_the_highest_rate_is_kept(monkeypatch):
    seconds = iter([0.5, 0.25, 1.0, 1.0, 0.125, 1.0])

    class Stub:
        def __init__(self, device):
            self.laps = {}

        def lap(self, name):
            self.laps[name] = next(seconds)

    monkeypatch.setattr(roofline, "Clock", Stub)
    monkeypatch.setattr(roofline, "_SIDE_ON_A_CPU", 100)
    rate = MatmulRate(torch.device("cpu"), "fp32")
    one = 2 * 100**3 / 1e9
    assert (rate.best, rate.plain) == (one / 0.25, one / 0.25)
    assert rate.measure() == one / 0.25  # slower this time
    assert rate.measure() == rate.best == one / 0.125
    assert rate.plain == one / 0.25  # the faster product was the other one
