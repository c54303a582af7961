"""Class probabilities, one class at a time, of canvases of every kind."""

import pytest
import torch

from mmseg_tfovss.ops import canvas as canvas_module
from mmseg_tfovss.ops.canvas import ChannelCanvas, ComputedCanvas, PixelCanvas
from mmseg_tfovss.ops.probabilities import ClassProbabilities

QUERY_CLASS = torch.tensor([0, 0, 1, 2, 2])


@pytest.fixture
def logits():
    return torch.randn(5, 6, 7, generator=torch.Generator().manual_seed(0))


def by_queries(logits):
    """A canvas that gives two queries at a time, and is computed once."""
    calls = []

    def make():
        calls.append(1)
        assert len(calls) == 1
        for start in (0, 2, 4):
            channels = slice(start, min(start + 2, 5))
            yield slice(0, 6), channels, logits[channels].transpose(0, 1)

    return ComputedCanvas((6, 7), 5, logits.device, make)


@pytest.mark.parametrize("canvas", [PixelCanvas, by_queries])
def test_equals_the_softmax_over_all_queries(logits, canvas):
    softmax = (3.0 * logits).softmax(dim=0)
    expected = torch.stack([softmax[number == QUERY_CLASS].amax(dim=0) for number in range(3)])
    found = ClassProbabilities(canvas(logits), QUERY_CLASS, 3.0)
    assert found.classes == 3
    torch.testing.assert_close(torch.stack([found.of(number) for number in range(3)]), expected)
    torch.testing.assert_close(found.largest(), expected.amax(dim=0))
    torch.testing.assert_close(found.peaks(), expected.amax(dim=(1, 2)))


@pytest.mark.parametrize("held", [1, 10**9])
def test_maps_that_are_computed_one_by_one_are_kept_if_they_are_few(logits, held, monkeypatch):
    monkeypatch.setattr(canvas_module, "HELD_ELEMENTS", held)
    canvas = ChannelCanvas((6, 7), 5, logits.device, logits.__getitem__)
    found, expected = (ClassProbabilities(one, QUERY_CLASS, 3.0) for one in (canvas, PixelCanvas(logits)))
    assert isinstance(found.logits, PixelCanvas) == (held > 1)
    for number in range(3):
        torch.testing.assert_close(found.of(number), expected.of(number))
    torch.testing.assert_close(found.peaks(), expected.peaks())
