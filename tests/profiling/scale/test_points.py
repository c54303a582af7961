"""Which points are measured."""

import pytest

from mmseg_tfovss.profiling.scale.points import Point, Sweeps


def test_the_smallest_image_is_640_by_480_and_all_are_about_4_to_3():
    assert Point(0.3, 20, 1).size == (480, 640)
    for megapixels in (0.3, 1, 2, 4, 8):
        height, width = Point(megapixels, 20, 1).size
        assert height * width / 1e6 == pytest.approx(megapixels, rel=0.03)
        assert width / height == pytest.approx(4 / 3, rel=0.02)


def test_one_axis_varies_while_the_others_are_at_their_smallest():
    sweeps = Sweeps(megapixels=(2, 0.3), words=(20, 100), batch=(1, 4, 4))
    assert sweeps.along("megapixels") == [Point(0.3, 20, 1), Point(2, 20, 1)]
    assert sweeps.along("batch") == [Point(0.3, 20, 1), Point(0.3, 20, 4)]
    assert list(sweeps) == [Point(0.3, 20, 1), Point(2, 20, 1), Point(0.3, 100, 1), Point(0.3, 20, 4)]


@pytest.mark.parametrize(
    ("values", "option"),
    [({"megapixels": (0,)}, "--sizes"), ({"words": (5, -1)}, "--words"), ({"batch": ()}, "--batches")],
)
def test_values_that_cannot_be_measured_are_refused(values, option):
    with pytest.raises(ValueError, match=f"{option} must be numbers above 0"):
        Sweeps(**values)


def test_sizes_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="--sizes must be numbers above 0, but got nan"):
        Sweeps(megapixels=(float("nan"),))
