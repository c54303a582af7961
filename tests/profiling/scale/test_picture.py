"""What the picture shows."""

import pytest

from mmseg_tfovss.profiling.scale.measure import STAGES, Cost
from mmseg_tfovss.profiling.scale.picture import draw_costs
from mmseg_tfovss.profiling.scale.points import Sweeps

SWEEPS = Sweeps(megapixels=(0.3, 2), words=(20, 1000), batch=(1, 4))


@pytest.mark.parametrize("large", ["megapixels", "words", "batch"])
def test_every_point_is_within_the_limits(large):
    def cost(point):
        factor = 50.0 if point == SWEEPS.along(large)[-1] else 1.0
        return Cost(dict.fromkeys(STAGES, factor * point.batch), 10 * factor)

    figure = draw_costs("sclip", SWEEPS, {point: cost(point) for point in SWEEPS})
    assert len(figure.axes) == 6
    for plot in figure.axes:
        (left, right), (bottom, top) = plot.get_xlim(), plot.get_ylim()
        drawn = [point for line in plot.lines for point in line.get_xydata()]
        assert drawn
        assert all(left <= x <= right and bottom <= y <= top for x, y in drawn)
    assert figure.axes[3].get_ylim()[0] == 0
